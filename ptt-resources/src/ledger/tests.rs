use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const IDLE: Duration = Duration::from_secs(60);

fn at(seconds: u64) -> Moment {
    Moment::from_millis(seconds * 1_000)
}

fn acquire(ledger: &mut Ledger, take: u64, now: u64) -> Vec<Decision> {
    ledger.acquire(TakeId(take), at(now)).collect()
}

#[test]
fn the_second_take_is_told_who_has_it_and_for_how_long() {
    let mut ledger = Ledger::new(Residency::AtStart, Duration::ZERO, at(0));
    ledger.model_resident(true, at(0));
    assert_eq!(acquire(&mut ledger, 7, 10), [Decision::Grant(TakeId(7))]);
    assert_eq!(
        acquire(&mut ledger, 8, 13),
        [Decision::Refuse { take: TakeId(8), holder: TakeId(7), held: Duration::from_secs(3) }]
    );
    assert_eq!(acquire(&mut ledger, 7, 14), [Decision::Grant(TakeId(7))], "asking again is harmless");
    assert_eq!(ledger.release(TakeId(8), at(15)), None, "only the holder can give back");
    assert_eq!(ledger.release(TakeId(7), at(16)), Some(Duration::from_secs(6)));
    assert_eq!(ledger.release(TakeId(7), at(17)), None);
    assert_eq!(acquire(&mut ledger, 8, 18), [Decision::Grant(TakeId(8))]);
}

#[test]
fn the_model_is_asked_for_when_the_policy_says_so() {
    let eager = Ledger::new(Residency::AtStart, Duration::ZERO, at(0));
    assert_eq!(eager.start(), Some(Decision::LoadModel));

    let mut lazy = Ledger::new(Residency::OnFirstPress, Duration::ZERO, at(0));
    assert_eq!(lazy.start(), None);
    assert_eq!(acquire(&mut lazy, 1, 1), [Decision::LoadModel, Decision::Grant(TakeId(1))]);
    assert_eq!(acquire(&mut lazy, 2, 1).len(), 1, "a refused take loads nothing");
    lazy.model_resident(true, at(2));
    let _ = lazy.release(TakeId(1), at(3));
    assert_eq!(acquire(&mut lazy, 2, 4), [Decision::Grant(TakeId(2))]);
    lazy.model_resident(false, at(5));
    assert_eq!(
        acquire(&mut lazy, 2, 6),
        [Decision::LoadModel, Decision::Grant(TakeId(2))],
        "a lost model is asked for again"
    );
}

#[test]
fn an_idle_model_is_given_back_once_and_only_between_takes() {
    let mut ledger = Ledger::new(Residency::AtStart, IDLE, at(0));
    assert_eq!(ledger.due(), None, "nothing is resident yet");
    ledger.model_resident(true, at(5));
    assert_eq!(ledger.due(), Some(at(65)));
    assert_eq!(acquire(&mut ledger, 1, 50).len(), 1);
    assert_eq!(ledger.due(), None, "a take needs it");
    assert_eq!(ledger.poll(at(500)), None);
    let _ = ledger.release(TakeId(1), at(500));
    assert_eq!(ledger.poll(at(559)), None);
    assert_eq!(ledger.poll(at(560)), Some(Decision::UnloadModel));
    assert_eq!(ledger.poll(at(10_000)), None, "it was asked for");
    assert_eq!(
        acquire(&mut ledger, 2, 561),
        [Decision::LoadModel, Decision::Grant(TakeId(2))],
        "a model on its way out is asked for again"
    );
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Acquire(u64),
    Release(u64),
    Resident(bool),
    Poll,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        4 => (1..5_u64).prop_map(Step::Acquire),
        4 => (1..5_u64).prop_map(Step::Release),
        1 => any::<bool>().prop_map(Step::Resident),
        2 => Just(Step::Poll),
    ];
    prop::collection::vec((step, 0..90_u64), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Against a set of holders, kept by the grants and the releases alone.
    #[test]
    fn never_two_holders_and_never_an_unload_in_a_take(steps in steps(), idle in 0..120_u64) {
        let mut ledger = Ledger::new(Residency::OnFirstPress, Duration::from_secs(idle), at(0));
        let mut holders = BTreeSet::new();
        let mut now = 0;
        for (step, gap) in steps {
            now += gap;
            match step {
                Step::Acquire(take) => {
                    let before = holders.clone();
                    let answers = acquire(&mut ledger, take, now);
                    match *answers.last().unwrap() {
                        Decision::Grant(granted) => {
                            prop_assert_eq!(granted, TakeId(take));
                            holders.insert(take);
                        }
                        Decision::Refuse { take: asked, holder, held } => {
                            prop_assert_eq!(asked, TakeId(take));
                            prop_assert!(before.contains(&holder.0) && holder.0 != take);
                            prop_assert!(held <= Duration::from_secs(now));
                        }
                        Decision::LoadModel | Decision::UnloadModel => prop_assert!(false, "no answer"),
                    }
                }
                Step::Release(take) => {
                    let had = ledger.release(TakeId(take), at(now));
                    prop_assert_eq!(had.is_some(), holders.remove(&take));
                    prop_assert_eq!(ledger.release(TakeId(take), at(now)), None, "idempotent");
                }
                Step::Resident(resident) => ledger.model_resident(resident, at(now)),
                Step::Poll => {
                    let due = ledger.due();
                    let decision = ledger.poll(at(now));
                    prop_assert_eq!(decision.is_some(), due.is_some_and(|due| due <= at(now)));
                    prop_assert!(decision.is_none() || (holders.is_empty() && idle > 0));
                    prop_assert_eq!(ledger.poll(at(now)), None, "says so once");
                }
            }
            prop_assert!(holders.len() <= 1, "two takes hold the microphone: {holders:?}");
            prop_assert_eq!(ledger.holder().map(|take| take.0), holders.first().copied());
        }
    }
}
