//! Workers that show heads of their audit trail: honest ones, and one that has cut it.

use std::collections::VecDeque;
use std::sync::Mutex;

use dbal_shared::ids::Digest;
use dbal_shared::message::{Countersignature, Head};
use dbal_witness::holds;

use super::*;

fn head(sequence: u64, hash: u8) -> Head {
    Head {
        sequence,
        hash: Digest([hash; 32]),
    }
}

/// A world whose worker shows one of these heads with each answer, and dies at a call that finds none left.
fn world(heads: Vec<Head>) -> World {
    let heads = Mutex::new(VecDeque::from(heads));
    World::with(policy(), move |_, message| match message {
        ToWorker::Execute(_) => match heads.lock().unwrap().pop_front() {
            Some(head) => {
                let mut said = polite(message);
                said.push(ToBroker::Head(head));
                Said::Messages(said)
            }
            None => Said::Dies,
        },
        _ => Said::Messages(polite(message)),
    })
}

/// Countersignatures that the worker got, once there are so many.
async fn countersigned(world: &World, expected: usize) -> Vec<Countersignature> {
    for _ in 0..500 {
        let got = world.heard(|message| match message {
            ToWorker::Countersigned(countersignature) => Some(*countersignature),
            _ => None,
        });
        if got.len() >= expected {
            return got;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{expected} countersignatures within 5 s");
}

#[tokio::test]
async fn each_head_that_grows_is_countersigned_after_the_one_before_also_for_the_next_worker() {
    let world = world(vec![head(3, 1), head(3, 1), head(8, 2)]);
    for id in ["1", "2", "3", "dies"] {
        world.ask(&read(id)).await;
    }
    let got = countersigned(&world, 2).await;
    let both: Vec<_> = got.iter().map(|got| (got.head, got.after)).collect();
    assert_eq!(both, [(head(3, 1), None), (head(8, 2), Some(head(3, 1)))]);
    assert!(got.iter().all(holds));
    let trail = world.broker.channel.worker().trail;
    assert_eq!(trail.head.map(|(head, _)| head), Some(head(8, 2)));
    assert_eq!((trail.countersigned, trail.refused), (got.last().copied(), 0));
}

#[tokio::test]
async fn a_worker_whose_trail_goes_back_gets_no_countersignature_any_more_and_calls_go_on() {
    for back in [head(7, 9), head(2, 9)] {
        let world = world(vec![head(7, 1), back, head(90, 2), head(91, 3)]);
        for id in ["1", "2", "3", "4"] {
            let answer = world.ask(&read(id)).await;
            assert!(answer.contains("result"), "{answer}");
        }
        for _ in 0..500 {
            if world.broker.channel.worker().trail.refused == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let trail = world.broker.channel.worker().trail;
        assert_eq!(trail.refused, 3);
        assert_eq!(trail.head.map(|(head, _)| head), Some(head(7, 1)));
        let got = countersigned(&world, 1).await;
        assert_eq!(got.len(), 1, "{got:?}");
    }
}
