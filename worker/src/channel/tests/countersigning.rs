//! Brokers that are shown the head of the audit trail: one that countersigns it, and those that forge.

use dbal_audit::{Demands, Event, PublicKey, Signer as AuditSigner, verify_as};
use dbal_shared::message::{Countersignature, Head};
use dbal_witness::sign;

use super::*;

impl Broker {
    async fn head(&mut self) -> Head {
        let head = async {
            loop {
                match self.frames.next_message::<ToBroker>().unwrap() {
                    Some(ToBroker::Head(head)) => return head,
                    Some(_) => {}
                    None => {
                        let read = self.stream.read_buf(self.frames.space()).await.unwrap();
                        assert!(read > 0, "the channel is closed");
                    }
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), head)
            .await
            .expect("a head")
    }
}

fn key() -> AuditSigner {
    AuditSigner::new(&"1f".repeat(32)).unwrap()
}

fn verified(stage: &Stage, key: PublicKey) -> Result<u64, String> {
    let demands = Demands {
        brokers: &[key],
        ..Demands::default()
    };
    let folder = stage.fixture.folder.path().join("audit");
    verify_as(&folder, &demands)
        .map(|verified| verified.countersigned.unwrap_or_default().last)
        .map_err(|broken| broken.to_string())
}

#[tokio::test]
async fn a_head_is_shown_and_what_the_broker_signs_is_in_the_trail() {
    let stage = Stage::new();
    stage.shared.ledger.worker(Event::WorkerStarted, "");
    stage.shared.ledger.sync();
    let mut broker = stage.greeted().await;
    let head = broker.head().await;
    assert_eq!(head.sequence, 1);
    let signed = sign(&key(), head, None);
    broker.send(&ToWorker::Countersigned(signed)).await;
    // Another call, and its answer: the record is written before it.
    let (session, _) = broker.open(bearer(stage.token(ALICE, "user", 60))).await.unwrap();
    let execute = stage.execute(session, (ALICE, "user"), stage.count());
    broker.run(execute).await.unwrap();
    assert_eq!(verified(&stage, key().public()), Ok(1));
    let others = AuditSigner::new(&"2e".repeat(32)).unwrap().public();
    assert!(verified(&stage, others).unwrap_err().contains("did not make"));
}

#[tokio::test]
async fn a_countersignature_of_what_was_not_shown_or_that_does_not_hold_is_an_incident() {
    type Forge = fn(Countersignature) -> Vec<Countersignature>;
    let forgeries: [Forge; 5] = [
        |honest| vec![honest, honest],
        |honest| {
            let head = Head {
                sequence: honest.head.sequence + 1,
                ..honest.head
            };
            vec![sign(&key(), head, None)]
        },
        |honest| {
            let head = Head {
                hash: Digest([7; 32]),
                ..honest.head
            };
            vec![sign(&key(), head, None)]
        },
        |honest| {
            vec![Countersignature {
                signature: [7; 64],
                ..honest
            }]
        },
        |honest| {
            vec![Countersignature {
                after: Some(honest.head),
                ..honest
            }]
        },
    ];
    let stage = Stage::new();
    stage.shared.ledger.worker(Event::WorkerStarted, "");
    stage.shared.ledger.sync();
    for forge in forgeries {
        let mut broker = stage.greeted().await;
        let head = broker.head().await;
        for forged in forge(sign(&key(), head, None)) {
            broker.send(&ToWorker::Countersigned(forged)).await;
        }
        assert_eq!(broker.next().await, None, "the channel is closed");
    }
    let audit = stage.audit();
    let incidents = audit.matches("\"event\":\"incident\"").count();
    assert_eq!(incidents, 5, "{audit}");
    assert_eq!(
        audit.matches("\"event\":\"countersigned\"").count(),
        1,
        "the first of the two"
    );
}
