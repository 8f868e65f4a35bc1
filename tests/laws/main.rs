//! The laws that every Score obeys, on simulated racks with virtual time.
//!
//! One body for each law, here for each of the cases; [`registry`] sees to it that every Score has
//! one. [`flow`] tells the main job as stories, [`seeds`] throws dice.

mod drift;
mod flow;
mod journal;
mod kills;
mod looks;
mod misfortune;
mod okd;
mod okd_errors;
mod plans;
mod registry;
mod seeds;
mod steps;
mod stops;
mod writes;

macro_rules! laws {
    ($($case:ident),*) => {
        $(mod $case {
            use harmony_tests::cases;

            #[test]
            fn a_plan_is_deterministic_and_writes_nothing() {
                crate::plans::deterministic(&cases::$case());
            }

            #[test]
            fn after_apply_the_plan_is_empty_and_a_second_apply_writes_nothing() {
                crate::plans::idempotent(&cases::$case());
            }

            #[test]
            fn a_saved_plan_is_refused_when_the_world_has_moved() {
                crate::drift::saved_plan_is_refused(&cases::$case());
            }

            #[test]
            fn what_was_changed_between_plan_and_step_is_not_overwritten_unseen() {
                crate::drift::is_seen_before_each_step(&cases::$case());
            }

            #[test]
            fn each_step_repeated_failed_timed_out_or_killed_ends_in_the_same_state() {
                crate::steps::each_meddled_with(&cases::$case());
            }

            #[test]
            fn each_write_failed_lost_or_timed_out_ends_in_the_same_state() {
                crate::writes::each_struck(&cases::$case());
            }

            #[test]
            fn killed_at_every_journal_entry_ends_in_the_same_state() {
                crate::kills::at_every_entry(&cases::$case());
            }

            #[test]
            fn stopped_at_every_journal_entry_leaves_a_compatible_state() {
                crate::stops::at_every_entry(&cases::$case());
            }
        })*
    };
}
harmony_tests::for_each_case!(laws);
