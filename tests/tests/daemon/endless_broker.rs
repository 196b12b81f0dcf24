//! Somebody has taken the broker, and goes on without end: with a frame, and with reports that nobody answers.

use std::time::{Duration, Instant};

use dbal_shared::fault::Code;
use dbal_shared::frame::write_frame;
use dbal_shared::ids::RequestId;
use dbal_shared::limits::FRAME_TO_WORKER_BYTES;
use dbal_shared::message::{Refused, Report, ToWorker};
use dbal_tests::journal;
use dbal_tests::worker_alone::BOB;

use crate::fake_broker::Broker;
use crate::hostile_broker::{assert_whole, worker_with_bobs_paper};

/// An honest broker writes a frame at once. A byte a second would keep one of the few channels for ever.
#[test]
fn a_frame_that_does_not_come_to_its_end_ends_the_channel() {
    const WITHIN: Duration = Duration::from_secs(40);
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    // It is announced to be long; something always came just now.
    broker.channel.send_bytes(&1_000_u32.to_le_bytes()).unwrap();
    let began = Instant::now();
    while began.elapsed() < WITHIN && broker.channel.send_bytes(&[0]).is_ok() {
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(began.elapsed() < WITHIN, "the channel goes on");
    assert!(worker.said().contains("began a frame"), "{}", worker.said());
    drop(broker);
    assert_whole(&mut worker);
}

/// Good reports, of which none is answered: as many as the worker takes.
#[test]
fn a_flood_of_reports_is_counted_and_does_not_fill_the_disk() {
    const SENT: u32 = 60_000;
    const WITHIN: Duration = Duration::from_secs(60);
    let mut worker = worker_with_bobs_paper();
    let mut broker = Broker::greeted(&worker);
    let mut frames = Vec::new();
    for sequence in 0..SENT {
        let refused = Refused {
            request: RequestId {
                boot: 0xf1_00d,
                sequence: sequence.into(),
            },
            session: None,
            remote: "203.0.113.9:1".to_owned(),
            entity: None,
            operation: None,
            method: Some("list".to_owned()),
            code: Code::Forbidden,
            reason: "x".repeat(500),
            rule: None,
            policy: None,
            tried: Vec::new(),
            repeated: 0,
            trace: None,
        };
        let report = ToWorker::Report(Report::Refused(refused));
        write_frame(&report, FRAME_TO_WORKER_BYTES, &mut frames).unwrap();
    }
    let began = Instant::now();
    broker.channel.send_bytes(&frames).expect("the channel goes on");
    // Until all were taken: what is told of them and what is counted comes to what was sent.
    let (written, counted) = loop {
        let records = journal::records(&worker.audit());
        let is_written = |record: &&serde_json::Value| {
            let name = record["request"].as_str();
            name.is_some_and(|name| name.starts_with("000f100d-"))
        };
        let written = records.iter().filter(is_written).count();
        let lost = records.iter().filter(|record| record["event"] == "lost");
        let counted: u64 = lost.filter_map(|record| record["rows"].as_u64()).sum();
        if u64::try_from(written).unwrap() + counted == u64::from(SENT) {
            break (written, counted);
        }
        let told = format!("{written} written, {counted} counted");
        assert!(began.elapsed() < WITHIN, "{told}");
        std::thread::sleep(Duration::from_millis(500));
    };
    let most = 10_000 + 2_000 * usize::try_from(began.elapsed().as_secs() + 1).unwrap();
    assert!(written <= most, "{written} written, {counted} counted");
    let bob = broker.open_as(BOB, &["user"]);
    let plan = broker.papers(&["id"]);
    let execute = broker.honest(&bob, plan);
    let answer = broker.send(execute).expect("an answer");
    assert!(answer.is_ok(), "an honest call goes on");
    drop(broker);
    assert_whole(&mut worker);
}
