//! What a user does with keys, and what the runner is asked for.

use harmony_core::host::HostId;
use harmony_tui::{Notice, State, UserAction};

use crate::scenario::{self, Until};
use crate::{PLAIN, draw, press, state};

fn assign(host: &str, role: &str, disk: &str, erase: Option<&str>) -> UserAction {
    UserAction::Assign {
        host: host.parse::<HostId>().expect("valid"),
        role: role.parse().expect("valid"),
        disk: Some(disk.into()),
        erase: erase.map(String::from),
    }
}

fn text(state: &mut State) -> String {
    draw(state, 80, 24).to_string()
}

#[track_caller]
fn assert_shown(state: &mut State, wanted: &str) {
    let screen = text(state);
    assert!(screen.contains(wanted), "`{wanted}` is not on the screen:\n{screen}");
}

#[test]
fn a_role_that_is_waited_for_is_two_keys_away() {
    let mut state = state(Until::Roles);
    assert_eq!(press(&mut state, "a"), []);
    assert_shown(&mut state, "Role for brisk-otter");
    assert_eq!(press(&mut state, "Enter"), [assign("hc-7KQ2M9X", "master-0", "S1-vda", None)]);
    assert_shown(&mut state, "asked for");
}

#[test]
fn any_role_can_be_typed_and_completed() {
    let mut state = state(Until::Roles);
    assert_eq!(press(&mut state, "2 a wor Tab Enter"), [assign("hc-7KQ2M9X", "worker-0", "S1-vda", None)]);
    assert_eq!(press(&mut state, "a storage-3 Enter"), [assign("hc-7KQ2M9X", "storage-3", "S1-vda", None)]);
    assert_eq!(press(&mut state, "a Down Down Up Enter"), [assign("hc-7KQ2M9X", "master-1", "S1-vda", None)]);
}

#[test]
fn suggestions_leave_out_roles_that_are_taken() {
    let mut state = State::new(PLAIN);
    state.suggest_roles(["master-1", "master-0", "worker-0"].map(|role| role.parse().expect("valid")).to_vec());
    scenario::records(Until::Installing).iter().for_each(|record| state.on_record(record));
    assert_eq!(press(&mut state, "a Enter"), [assign("hc-V0N5B2D", "master-1", "S3-vda", None)]);
}

#[test]
fn a_disk_that_holds_something_needs_its_serial_typed() {
    let mut state = state(Until::Roles);
    press(&mut state, "2 Down a master-1 Enter");
    assert_shown(&mut state, "holds gpt, LVM2_member");
    assert_eq!(press(&mut state, "Down Enter Enter"), []);
    assert_shown(&mut state, "type the serial S2-vdb to agree");
    assert_eq!(press(&mut state, "S2-vda Enter"), []);
    assert_eq!(press(&mut state, "Ctrl-U S2-vdb Enter"), [assign("hc-3F8R1TC", "master-1", "S2-vdb", Some("S2-vdb"))]);
}

#[test]
fn an_empty_disk_of_several_needs_no_consent() {
    let mut state = state(Until::Roles);
    let actions = press(&mut state, "2 Down a worker-0 Enter Enter");
    assert_eq!(actions, [assign("hc-3F8R1TC", "worker-0", "S2-vda", None)]);
}

#[test]
fn what_cannot_be_assigned_is_said_at_once() {
    let mut state = state(Until::Installing);
    assert_eq!(press(&mut state, "2 Down a"), []);
    assert_shown(&mut state, "brisk-otter already has role master-0");
    assert_eq!(press(&mut state, "Up a master-0 Enter"), []);
    assert_shown(&mut state, "role master-0 already belongs to brisk-otter");
    assert_eq!(press(&mut state, "Ctrl-U Master_1 Enter"), []);
    assert_shown(&mut state, "is no role");
    press(&mut state, "Esc");
    assert!(!text(&mut state).contains("Role for"));

    let mut early = crate::state(Until::Discovered);
    assert_eq!(press(&mut early, "2 /heron Enter a"), []);
    assert_shown(&mut early, "calm-heron is registered: only a discovered host");
}

#[test]
fn disks_that_cannot_be_ordered_are_refused() {
    let records = scenario::records(Until::Roles);
    let with = |change: fn(&mut harmony_core::host::Host)| {
        let mut state = State::new(PLAIN);
        for mut record in records.clone() {
            if let harmony_core::event::Event::HostChanged { host } = &mut record.event {
                change(host);
            }
            state.on_record(&record);
        }
        assert_eq!(press(&mut state, "a master-0 Enter"), []);
        text(&mut state)
    };
    assert!(with(|host| host.disks.clear()).contains("has no disks: nothing to install on"));
    assert!(with(|host| host.disks.iter_mut().for_each(|disk| disk.serial = None)).contains("no serial, so it cannot"));
    assert!(with(|host| host.disks.iter_mut().for_each(|disk| disk.size_bytes = 0)).contains("no medium"));
    let twins = with(|host| host.disks = [host.disks.clone(), host.disks.clone()].concat());
    assert!(twins.contains("none has a serial"), "{twins}");
}

#[test]
fn the_world_may_change_while_the_dialog_is_open() {
    let mut state = state(Until::Roles);
    press(&mut state, "a");
    scenario::after(Until::Roles).iter().for_each(|record| state.on_record(record));
    assert_eq!(press(&mut state, "Enter"), []);
    assert_shown(&mut state, "brisk-otter already has role master-0");
}

#[test]
fn stopping_takes_a_question_and_leaving_early_another() {
    let mut state = state(Until::Installing);
    assert_eq!(press(&mut state, "q Esc"), []);
    assert_eq!(press(&mut state, "q y"), [UserAction::Stop]);
    assert_shown(&mut state, "stopping");
    assert_eq!(press(&mut state, "q Enter"), []);
    assert_eq!(press(&mut state, "y"), [UserAction::Quit]);
}

#[test]
fn interrupts_do_the_same_without_questions_at_first() {
    let mut state = state(Until::Installing);
    assert_eq!(press(&mut state, "a Ctrl-C"), [UserAction::Stop]);
    assert_eq!(press(&mut state, "Ctrl-C"), []);
    assert_eq!(press(&mut state, "Ctrl-C"), [UserAction::Quit]);
}

#[test]
fn a_run_that_has_ended_is_left_at_once() {
    let mut state = state(Until::Installing);
    press(&mut state, "q");
    scenario::after(Until::Installing).iter().for_each(|record| state.on_record(record));
    assert!(!text(&mut state).contains("End the run?"), "the question is moot");
    assert_eq!(press(&mut state, "q"), [UserAction::Quit]);
    assert_eq!(press(&mut crate::state(Until::Ended), "Ctrl-C"), [UserAction::Quit]);
    assert_eq!(press(&mut State::new(PLAIN), "q"), [UserAction::Quit]);
}

#[test]
fn a_stop_that_reached_nobody_can_be_asked_for_again() {
    let mut state = state(Until::Installing);
    assert_eq!(press(&mut state, "Ctrl-C"), [UserAction::Stop]);
    state.on_undelivered(&UserAction::Stop, "the run is busy, try again");
    assert_shown(&mut state, "not done: the run is busy");
    assert_eq!(press(&mut state, "Ctrl-C"), [UserAction::Stop]);
}

#[test]
fn a_replay_changes_nothing() {
    let mut state = State::new(PLAIN).read_only();
    scenario::records(Until::Roles).iter().for_each(|record| state.on_record(record));
    assert_eq!(press(&mut state, "2 a"), []);
    assert_shown(&mut state, "this is a replay");
    assert_eq!(press(&mut state, "q"), [UserAction::Quit]);
}

#[test]
fn hosts_are_found_by_whatever_they_are_called() {
    for wanted in ["otter", "7kq2", "master-0", "52:54:00:00:01:02", "10.10.0.101", "LAB-0001", "s1-vda"] {
        let mut state = state(Until::Installing);
        press(&mut state, &format!("2 /{wanted} Enter"));
        let screen = text(&mut state);
        let listed = ["brisk-otter", "calm-heron", "proud-lynx"].map(|name| screen.contains(name));
        assert_eq!(listed, [true, false, false], "{wanted}:\n{screen}");
        press(&mut state, "Esc");
        assert_shown(&mut state, "calm-heron");
    }
    let mut state = state(Until::Installing);
    press(&mut state, "2 /q?1a");
    assert_shown(&mut state, "search: q?1a");
}

#[test]
fn the_tree_follows_the_work_until_the_user_looks_elsewhere() {
    let mut follows = state(Until::Installing);
    assert_shown(&mut follows, "›   ◌ follow the installation of brisk-otter");
    press(&mut follows, "Down");
    assert_shown(&mut follows, "›   · put the ports of brisk-otter into LACP");
    scenario::after(Until::Installing).iter().for_each(|record| follows.on_record(record));
    assert_shown(&mut follows, "›   ✓ put the ports of brisk-otter into LACP");
    press(&mut follows, "f");
    assert_shown(&mut follows, "›   ✗ put the ports of calm-heron into access mode");
}

#[test]
fn done_steps_and_finished_scores_can_be_put_away() {
    let mut state = state(Until::Installing);
    assert!(!text(&mut state).contains("scan 10.10.0.0/24"), "a converged Score is folded");
    press(&mut state, "Home Enter");
    assert_shown(&mut state, "scan 10.10.0.0/24 for agents");
    press(&mut state, "d");
    assert!(!text(&mut state).contains("scan 10.10.0.0/24"));
    assert_shown(&mut state, "follow the installation of brisk-otter");
    press(&mut state, "/lacp Enter");
    let screen = text(&mut state);
    assert!(screen.contains("of brisk-otter into LACP") && !screen.contains("follow the installation"), "{screen}");
}

#[test]
fn details_scroll_to_their_end_and_not_beyond() {
    let mut state = state(Until::Ended);
    press(&mut state, "2 Down Tab");
    draw(&mut state, 80, 24);
    press(&mut state, "End");
    assert_shown(&mut state, "/dev/disk/by-id/virtio-S1-vda");
    press(&mut state, "Up");
    let one_up = text(&mut state);
    press(&mut state, "PageDown PageDown Up");
    assert_eq!(text(&mut state), one_up, "keys at the end are not counted");
}

#[test]
fn the_log_stays_where_it_was_put() {
    let mut state = state(Until::Discovered);
    press(&mut state, "4 Home");
    draw(&mut state, 80, 24);
    let start = text(&mut state);
    assert!(start.contains("run of virtual_rack"));
    scenario::after(Until::Discovered).iter().for_each(|record| state.on_record(record));
    let body = |screen: &str| screen.lines().skip(3).take(10).map(String::from).collect::<Vec<_>>();
    assert_eq!(body(&text(&mut state)), body(&start));
    press(&mut state, "f");
    assert_shown(&mut state, "run: FAILED after 3:08");
    press(&mut state, "/disputed Enter");
    let found = text(&mut state);
    assert!(found.contains("port of enp1s2 is disputed") && !found.contains("run: FAILED"), "{found}");
}

#[test]
fn a_long_message_is_shown_whole() {
    let mut state = state(Until::Roles);
    let words: Vec<_> = (1..=25).map(|number| format!("word-{number}")).collect();
    state.notify(Notice::refused(words.join(" ")));
    let screen = text(&mut state);
    assert!(words.iter().all(|word| screen.contains(word)), "{screen}");
}

#[test]
fn information_goes_by_itself_and_refusals_stay() {
    let mut state = state(Until::Roles);
    let later = |state: &mut State, seconds| {
        let at = "2026-03-02T12:00:36Z".parse::<jiff::Timestamp>().expect("valid");
        state.on_time(at.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("in range"));
    };
    state.notify(Notice::info("told you"));
    later(&mut state, 29);
    assert_shown(&mut state, "told you");
    later(&mut state, 31);
    assert!(!text(&mut state).contains("told you"));
    state.notify(Notice::refused("role master-0 already belongs to brisk-otter"));
    later(&mut state, 7_200);
    assert_shown(&mut state, "already belongs to brisk-otter");
    press(&mut state, "Esc");
    assert!(!text(&mut state).contains("already belongs"));
    press(&mut state, "4");
    assert_shown(&mut state, "already belongs to brisk-otter");
}
