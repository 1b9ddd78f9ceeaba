use std::cell::RefCell;
use std::rc::Rc;

use ptt_messages::FaultKind;

use super::*;

fn at(ms: u64) -> Moment {
    Moment::from_millis(ms)
}

#[test]
fn a_tone_is_told_with_the_moment_the_device_began() {
    let mut rig = Rig::new();
    rig.want(true, 1_000);
    rig.play(1, 2_000, 2_003);
    assert!(rig.told().is_empty(), "handed over is not begun");
    assert_eq!(rig.desk.patience(), Some(LOOK));
    rig.device().begin_all(2_009);
    rig.look(2_010);
    assert_eq!(rig.told(), [played(1, 2_000, 2_009)]);
    assert_eq!(rig.desk.patience(), None, "nothing more to do");
    assert_eq!(rig.device().opens, 1);
}

#[test]
fn an_output_that_is_not_there_is_told_once_and_tried_again() {
    let mut rig = Rig::new();
    rig.device().broken = true;
    rig.want(true, 1_000);
    assert_eq!(rig.told(), [FaultKind::Gone]);
    assert_eq!(rig.desk.patience(), Some(Duration::from_millis(100)));
    for ms in [1_100, 1_300, 1_800, 2_800, 4_800, 14_800] {
        rig.look(ms - 1);
        rig.look(ms);
    }
    assert_eq!(rig.device().opens, 7);
    assert_eq!(rig.desk.patience(), None, "not for ever");

    rig.play(1, 44_000, 44_000);
    assert_eq!(rig.device().opens, 7, "too soon");
    rig.device().broken = false;
    rig.play(2, 44_800, 44_800);
    rig.device().begin_all(44_805);
    rig.look(44_806);
    assert_eq!(rig.told(), [played(2, 44_800, 44_805)], "the first that finds it is heard");
}

#[test]
fn a_lost_output_is_told_once_and_comes_back_by_itself() {
    let mut rig = Rig::new();
    rig.want(true, 1_000);
    rig.play(1, 1_500, 1_500);
    rig.device().lose();
    rig.device().broken = true;
    rig.look(1_501);
    assert_eq!(rig.told(), [FaultKind::Gone]);
    rig.look(1_601);
    rig.device().broken = false;
    rig.look(1_801);
    assert!(rig.desk.player.is_open());
    rig.play(2, 1_900, 1_900);
    rig.device().begin_all(1_905);
    rig.look(1_906);
    assert_eq!(rig.told(), [played(2, 1_900, 1_905)]);
}

#[test]
fn a_tone_is_dropped_rather_than_played_late() {
    let mut rig = Rig::new();
    rig.device().opening_takes = Duration::from_millis(301);
    rig.play(1, 5_000, 5_000);
    rig.look(5_400);
    assert!(rig.told().is_empty() && rig.device().played.is_empty(), "opening took too long");
    rig.play(2, 6_000, 6_301);
    assert!(rig.device().played.is_empty(), "it waited too long for the thread");
}

#[test]
fn a_device_that_stands_still_is_told_once_until_it_plays_again() {
    let mut rig = Rig::new();
    rig.want(true, 1_000);
    for take in 0..3 {
        rig.play(take, 2_000 + 10 * take, 2_000 + 10 * take);
    }
    rig.look(2_590);
    assert!(rig.told().is_empty());
    rig.look(2_700);
    assert_eq!(rig.told(), [FaultKind::Timeout]);
    rig.play(4, 3_000, 3_000);
    rig.look(3_700);
    assert!(rig.told().is_empty(), "once per outage");
    rig.device().played.clear();
    rig.play(5, 4_000, 4_000);
    rig.device().begin_all(4_005);
    rig.look(4_006);
    assert_eq!(rig.told(), [played(5, 4_000, 4_005)]);
    rig.play(6, 5_000, 5_000);
    rig.look(5_700);
    assert_eq!(rig.told(), [FaultKind::Timeout], "a new outage");
}

#[test]
fn closing_lets_the_last_tone_ring_out() {
    let mut rig = Rig::new();
    rig.want(true, 1_000);
    rig.play(1, 2_000, 2_000);
    rig.device().begin_all(2_005);
    rig.want(false, 2_010);
    assert!(rig.desk.player.is_open());
    assert_eq!(rig.desk.patience(), Some(Duration::from_millis(190)));
    rig.look(2_200);
    assert!(!rig.desk.player.is_open());
    assert_eq!(rig.desk.patience(), None);
}

#[test]
fn an_output_that_is_not_used_is_paused_until_the_next_tone() {
    let mut rig = Rig::pausing_after(Duration::from_secs(1));
    rig.want(true, 1_000);
    assert_eq!(rig.desk.patience(), Some(Duration::from_secs(1)));
    rig.look(1_999);
    assert!(!rig.device().paused, "it runs for a while, to show that it can");
    rig.look(2_000);
    assert!(rig.device().paused && rig.desk.player.is_open());
    assert_eq!(rig.desk.patience(), None, "nothing more to do");
    rig.look(9_000);
    assert_eq!(rig.device().pauses, 1);

    rig.play(1, 20_000, 20_000);
    assert!(!rig.device().paused);
    rig.device().begin_all(20_005);
    rig.look(20_010);
    assert_eq!(rig.told(), [played(1, 20_000, 20_005)]);
    assert_eq!(rig.desk.patience(), Some(Duration::from_millis(990)));
    rig.look(20_999);
    assert!(!rig.device().paused);
    rig.look(21_000);
    assert!(rig.device().paused);

    rig.want(false, 30_000);
    assert!(!rig.desk.player.is_open(), "closed from the pause");
    rig.want(true, 31_000);
    assert_eq!(rig.desk.patience(), Some(Duration::from_secs(1)));
    assert_eq!(rig.device().opens, 2);
}

#[test]
fn a_tone_that_has_not_begun_is_not_held_back_by_a_pause() {
    let mut rig = Rig::pausing_after(Duration::from_millis(1));
    rig.want(true, 1_000);
    rig.play(1, 2_000, 2_000);
    rig.look(2_300);
    assert!(!rig.device().paused, "still waiting for the device");
    rig.device().begin_all(2_301);
    rig.look(2_302);
    assert!(rig.device().paused);
    rig.play(2, 3_000, 3_000);
    rig.device().begin_all(3_005);
    rig.look(3_006);
    assert!(!rig.device().paused);
    assert_eq!(
        rig.desk.patience(),
        Some(Duration::from_millis(194)),
        "never cut off, however short the pause"
    );
}

#[test]
fn an_output_lost_while_paused_comes_back_running() {
    let mut rig = Rig::pausing_after(Duration::from_secs(1));
    rig.want(true, 1_000);
    rig.look(2_000);
    rig.device().lose();
    rig.look(5_000);
    assert_eq!(rig.told(), [FaultKind::Gone]);
    rig.look(5_100);
    assert!(rig.desk.player.is_open() && !rig.device().paused);
    assert_eq!(rig.desk.patience(), Some(Duration::from_secs(1)));
}

#[test]
fn a_thread_that_does_not_come_back_from_the_device_is_seen_from_outside() {
    let (orders, _inbox) = sync_channel(CAPACITY);
    let booth = Booth { orders, shared: Arc::default() };
    assert!(!booth.is_stuck(at(9_000)), "at rest");
    booth.shared.busy_since.store(at(1_000).as_nanos(), Ordering::Release);
    assert!(!booth.is_stuck(at(1_600)));
    assert!(booth.is_stuck(at(1_601)));
}

/// What a test compares events with.
#[derive(Debug, PartialEq)]
enum Told {
    Played(u64, Moment, Moment),
    Failed(FaultKind),
}

impl PartialEq<FaultKind> for Told {
    fn eq(&self, kind: &FaultKind) -> bool {
        *self == Told::Failed(*kind)
    }
}

fn played(take: u64, since: u64, begun: u64) -> Told {
    Told::Played(take, at(since), at(begun))
}

type Tell = Box<dyn Fn(FeedbackEvent)>;
type Clock = Box<dyn Fn() -> Moment>;

/// A desk with a device and a clock in the test's hands.
struct Rig {
    desk: Desk<Clock, Tell>,
    device: Rc<RefCell<Device>>,
    told: Rc<RefCell<Vec<Told>>>,
}

#[derive(Default)]
struct Device {
    now: Moment,
    open: bool,
    broken: bool,
    lost: bool,
    paused: bool,
    opens: u32,
    pauses: u32,
    opening_takes: Duration,
    played: Vec<Arc<Ticket>>,
}

impl Device {
    fn begin_all(&mut self, ms: u64) {
        for ticket in self.played.drain(..) {
            ticket.begin(at(ms), at(u64::MAX / 1_000_000));
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.played.clear();
    }
}

struct Fake(Rc<RefCell<Device>>);

impl Player for Fake {
    fn open(&mut self) -> Result<(), FeedbackError> {
        let mut device = self.0.borrow_mut();
        device.opens += 1;
        device.now = device.now + device.opening_takes;
        if device.broken {
            return Err(FeedbackError::NoOutput { reasons: "none".to_owned(), kind: FaultKind::Gone });
        }
        (device.open, device.paused) = (true, false);
        Ok(())
    }

    fn close(&mut self) {
        self.0.borrow_mut().open = false;
    }

    fn is_open(&self) -> bool {
        self.0.borrow().open
    }

    fn lost(&mut self) -> Option<FeedbackError> {
        let mut device = self.0.borrow_mut();
        if !std::mem::take(&mut device.lost) {
            return None;
        }
        device.open = false;
        Some(FeedbackError::Lost { reason: "pulled".to_owned() })
    }

    fn pause(&mut self) {
        let mut device = self.0.borrow_mut();
        device.paused = true;
        device.pauses += 1;
    }

    fn play(&mut self, _: Chime, _: Moment) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::default());
        let mut device = self.0.borrow_mut();
        device.paused = false;
        device.played.push(Arc::clone(&ticket));
        ticket
    }
}

impl Rig {
    fn new() -> Self {
        Self::pausing_after(Duration::ZERO)
    }

    fn pausing_after(idle_pause: Duration) -> Self {
        let device = Rc::new(RefCell::new(Device::default()));
        let told = Rc::new(RefCell::new(Vec::new()));
        let clock: Clock = {
            let device = Rc::clone(&device);
            Box::new(move || device.borrow().now)
        };
        let tell: Tell = {
            let told = Rc::clone(&told);
            Box::new(move |event| {
                told.borrow_mut().push(match event {
                    FeedbackEvent::Played { take, since, at, .. } => Told::Played(take.0, since, at),
                    FeedbackEvent::Failed(fault) => Told::Failed(fault.kind),
                });
            })
        };
        let desk = Desk::new(Box::new(Fake(Rc::clone(&device))), Arc::default(), idle_pause, clock, tell);
        Self { desk, device, told }
    }

    fn device(&self) -> std::cell::RefMut<'_, Device> {
        self.device.borrow_mut()
    }

    fn look(&mut self, ms: u64) {
        self.device().now = at(ms);
        self.desk.look();
    }

    fn want(&mut self, open: bool, ms: u64) {
        self.desk.shared.wanted.store(open, Ordering::Release);
        self.look(ms);
    }

    fn play(&mut self, take: u64, sent: u64, ms: u64) {
        self.device().now = at(ms);
        let chime = Chime::Start;
        self.desk.play(Tone { take: TakeId(take), chime, since: at(sent), sent: at(sent) });
        self.desk.look();
    }

    fn told(&self) -> Vec<Told> {
        self.told.take()
    }
}
