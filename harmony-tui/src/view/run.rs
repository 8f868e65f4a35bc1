//! The tree of Scores and steps, with what each waits for, and the details of one of them.

use harmony_core::event::Outcome;
use jiff::{SignedDuration, Timestamp};
use ratatui::text::{Line, Span};

use super::list::window;
use super::mark;
use super::sheet::{Sheet, wrapped};
use crate::look::{Look, Tone};
use crate::state::State;
use crate::state::run::{ScorePhase, ScoreRun, Stage, StepPhase, StepRun};
use crate::state::tree::Row;
use crate::text::{clean, cut, fit, width, wrap};
use crate::units::{clock, count, duration, seconds_between};

/// Lines of evidence shown in the tree; the details have all.
const EVIDENCE: usize = 2;
/// Lines of an error shown in the tree.
const ERROR_LINES: usize = 3;
/// Lines of a sentence that does not fit in its row.
const ROW_LINES: usize = 3;
/// Indent of what belongs to a row.
const UNDER: usize = 8;
/// Columns of the state's word.
const WORD: usize = 10;
/// Columns of a duration.
const TIME: usize = 8;

/// The tree, the selected row in sight.
pub(super) fn tree(state: &State, columns: usize, rows: usize) -> Vec<Line<'static>> {
    let list = state.ui.tree.rows(&state.run, state.wanted());
    let mut lines = verdict(state, columns);
    if list.is_empty() {
        lines.extend(empty(state, columns));
    }
    let selected = state.ui.tree.selected(&state.run, &list);
    let left = rows.saturating_sub(lines.len());
    lines.extend(window(list.len(), selected, left, |at| entry(state, &list[at], at == selected, columns)));
    lines
}

fn now(state: &State) -> Timestamp {
    state.run.clock(state.now)
}

fn empty(state: &State, columns: usize) -> Vec<Line<'static>> {
    let text = match (state.run.started, state.wanted()) {
        (Some(_), "") => "This run has no Scores.",
        (Some(_), _) => "No step holds what is searched for.",
        (None, _) => "No run has been started. Hosts and ports are on the next screens.",
    };
    wrapped(state.look, columns, 2, text, Tone::Dim)
}

/// Why the whole run failed, above everything.
fn verdict(state: &State, columns: usize) -> Vec<Line<'static>> {
    let outcome = state.run.ended.as_ref().map(|ended| &ended.outcome);
    let Some(Outcome::Failed { error, hint }) = outcome else { return Vec::new() };
    let mut lines = wrapped(state.look, columns, 2, &format!("The run failed: {error}"), Tone::Bad);
    lines.truncate(ERROR_LINES);
    let hint = hint.iter().flat_map(|hint| wrapped(state.look, columns, 2, &format!("hint: {hint}"), Tone::Attention));
    lines.extend(hint.take(2));
    lines
}

fn entry(state: &State, row: &Row<'_>, selected: bool, columns: usize) -> Vec<Line<'static>> {
    match row {
        Row::Score { score, folded } => score_lines(state, score, *folded, selected, columns),
        Row::Step { score, step } => step_lines(state, score, step, selected, columns),
        Row::Stage { score, stage } => stage_lines(state, score, stage, selected, columns),
    }
}

/// What a row says of its state, at the right edge: word, tone, time.
type Verdict<'a> = (&'a str, Tone, String);

/// A row: marker, symbol, text, state. A text that is too long goes on below it, in at most so many lines.
fn row(
    look: Look,
    head: &str,
    text: &str,
    verdict: &Verdict<'_>,
    at_most: usize,
    columns: usize,
    selected: bool,
) -> Vec<Line<'static>> {
    let marker = if selected { "› " } else { "  " };
    let (word, tone, time) = verdict;
    let before = width(marker) + width(head);
    let room = columns.saturating_sub(before + WORD + TIME + 3);
    let text = clean(text);
    let mut parts = wrap(&text, room).into_iter();
    let mut first = parts.next().unwrap_or_default();
    if at_most == 1 {
        first = cut(&text, room);
    }
    let line = Line::from(vec![
        Span::raw(marker),
        Span::styled(head.to_owned(), look.style(*tone)),
        Span::raw(fit(&first, room)),
        Span::styled(format!(" {}", fit(word, WORD)), look.style(*tone)),
        Span::raw(format!(" {time:>TIME$} ")),
    ]);
    let mut lines = vec![mark(line, selected)];
    lines.extend(parts.take(at_most - 1).map(|part| Line::raw(format!("{}{part}", " ".repeat(before)))));
    lines
}

/// Lines under a row, cut to so many.
fn under(state: &State, columns: usize, text: &str, tone: Tone, at_most: usize) -> Vec<Line<'static>> {
    let mut lines = wrapped(state.look, columns, UNDER, text, tone);
    if lines.len() > at_most {
        lines.truncate(at_most);
        if let Some(last) = lines.pop() {
            let text = cut(&format!("{last} …"), columns);
            lines.push(Line::styled(text, state.look.style(tone)));
        }
    }
    lines
}

fn score_lines(state: &State, score: &ScoreRun, folded: bool, selected: bool, columns: usize) -> Vec<Line<'static>> {
    let (symbol, word, tone) = match &score.phase {
        ScorePhase::Queued => ("·", "queued", Tone::Dim),
        ScorePhase::Observing => ("●", "observing", Tone::Busy),
        ScorePhase::Working => ("●", "working", Tone::Busy),
        ScorePhase::Ended(Outcome::Converged) => ("✓", "converged", Tone::Good),
        ScorePhase::Ended(Outcome::Stopped) => ("■", "stopped", Tone::Attention),
        ScorePhase::Ended(Outcome::PlanDone { .. }) => ("✓", "plan done", Tone::Good),
        ScorePhase::Ended(Outcome::Failed { .. }) => ("✗", "FAILED", Tone::Bad),
    };
    let fold = if folded { "▸" } else { "▾" };
    let done = score.steps.iter().filter(|step| step.is_done()).count();
    let text = match score.steps.len() {
        0 => score.name.clone(),
        all => format!("{}  {done} of {} done", score.name, count(all, "step")),
    };
    let time = score.elapsed(now(state)).map(duration).unwrap_or_default();
    let head = format!("{fold} {symbol} ");
    let mut lines = row(state.look, &head, &text, &(word, tone, time), 1, columns, selected);
    let of_run = state.run.ended.as_ref().map(|ended| &ended.outcome);
    match &score.phase {
        // Said once, at the top.
        ScorePhase::Ended(outcome @ Outcome::Failed { .. }) if of_run == Some(outcome) => {}
        ScorePhase::Ended(Outcome::Failed { error, hint }) => {
            lines.extend(under(state, columns, error, Tone::Bad, ERROR_LINES));
            let hint = hint.iter().map(|hint| format!("hint: {hint}"));
            lines.extend(hint.flat_map(|hint| under(state, columns, &hint, Tone::Attention, 2)));
        }
        ScorePhase::Ended(Outcome::PlanDone { waits_for }) => {
            let later = waits_for.iter().take(EVIDENCE).map(|text| format!("waits for {text}"));
            lines.extend(later.flat_map(|text| under(state, columns, &text, Tone::Attention, 1)));
        }
        _ => {}
    }
    lines
}

/// Symbol, word and tone of a step.
fn step_word(score: &ScoreRun, step: &StepRun) -> (&'static str, String, Tone) {
    let attempt = |word: &str| if step.attempt > 1 { format!("{word} #{}", step.attempt) } else { word.to_owned() };
    match &step.phase {
        StepPhase::Pending if matches!(score.phase, ScorePhase::Ended(_)) => ("·", "not done".into(), Tone::Dim),
        StepPhase::Pending => ("·", "to do".into(), Tone::Dim),
        StepPhase::Running => ("●", attempt("running"), Tone::Busy),
        StepPhase::Waiting { .. } => ("◌", attempt("waiting"), Tone::Busy),
        StepPhase::Retrying => ("↻", "will retry".into(), Tone::Attention),
        StepPhase::Failed => ("✗", "FAILED".into(), Tone::Bad),
        StepPhase::Stopped => ("■", "stopped".into(), Tone::Attention),
        StepPhase::Done => ("✓", "done".into(), Tone::Good),
        StepPhase::Recovered => ("✓", "recovered".into(), Tone::Good),
    }
}

/// "image server, 4:12 left".
fn wait(waits_for: &str, until: Timestamp, now: Timestamp) -> String {
    if until == Timestamp::MAX {
        return waits_for.to_owned();
    }
    format!("{waits_for}, {} left", duration(seconds_between(now, until)))
}

fn step_lines(state: &State, score: &ScoreRun, step: &StepRun, selected: bool, columns: usize) -> Vec<Line<'static>> {
    let (symbol, word, tone) = step_word(score, step);
    let time = step.elapsed(now(state)).map(duration).unwrap_or_default();
    let head = format!("  {symbol} ");
    let over = step.is_done() || step.phase == StepPhase::Pending;
    let at_most = if over { 1 } else { ROW_LINES };
    let mut lines = row(state.look, &head, &step.sentence, &(&word, tone, time), at_most, columns, selected);
    if over {
        return lines;
    }
    if let StepPhase::Waiting { waits_for, until } = &step.phase {
        let text = format!("waits for {}", wait(waits_for, *until, now(state)));
        lines.extend(under(state, columns, &text, Tone::Busy, 2));
    }
    if let Some(failure) = &step.failure {
        let tone = if step.phase == StepPhase::Failed { Tone::Bad } else { Tone::Attention };
        let text = format!("attempt {} failed: {}", failure.attempt, failure.error);
        lines.extend(under(state, columns, &text, tone, ERROR_LINES));
    }
    let latest = step.evidence.len().saturating_sub(EVIDENCE);
    for line in &step.evidence[latest..] {
        lines.extend(under(state, columns, &format!("· {line}"), Tone::Dim, 1));
    }
    let hint = step.failure.as_ref().and_then(|failure| failure.hint.as_ref());
    lines.extend(hint.iter().flat_map(|hint| under(state, columns, &format!("hint: {hint}"), Tone::Attention, 2)));
    lines
}

/// Until when a stage is waited for, and how long it has been, in seconds.
fn stage_times(state: &State, score: &ScoreRun, stage: &Stage) -> (Timestamp, u64) {
    let limit = stage.deferred.limit_s.and_then(|limit| i64::try_from(limit).ok()).map(SignedDuration::from_secs);
    let until = limit.and_then(|limit| stage.since.checked_add(limit).ok()).unwrap_or(Timestamp::MAX);
    (until, seconds_between(stage.since, score.ended.unwrap_or(now(state))))
}

fn stage_lines(state: &State, score: &ScoreRun, stage: &Stage, selected: bool, columns: usize) -> Vec<Line<'static>> {
    let (until, waited) = stage_times(state, score, stage);
    let until = if score.ended.is_some() { Timestamp::MAX } else { until };
    let text = wait(&stage.deferred.waits_for, until, now(state));
    let verdict = ("awaited", Tone::Attention, duration(waited));
    let mut lines = row(state.look, "  ◇ ", &text, &verdict, ROW_LINES, columns, selected);
    let hint = stage.deferred.hint.iter().map(|hint| format!("hint: {hint}"));
    lines.extend(hint.flat_map(|hint| under(state, columns, &hint, Tone::Attention, 2)));
    lines
}

/// Everything that is known of the selected step or stage.
pub(super) fn details(state: &State, columns: usize) -> (String, Vec<Line<'static>>) {
    let rows = state.ui.tree.rows(&state.run, state.wanted());
    let mut sheet = Sheet::new(state.look, columns);
    let title = match rows.get(state.ui.tree.selected(&state.run, &rows)) {
        None => String::new(),
        Some(Row::Score { score, .. }) => score_sheet(&mut sheet, score),
        Some(Row::Step { score, step }) => {
            step_sheet(state, &mut sheet, score, step);
            step.key.clone()
        }
        Some(Row::Stage { score, stage }) => {
            let (until, waited) = stage_times(state, score, stage);
            sheet.field("waits for", &wait(&stage.deferred.waits_for, until, now(state)), Tone::Plain);
            sheet.field("since", &format!("{}, {}", clock(stage.since), duration(waited)), Tone::Plain);
            stage.deferred.hint.iter().for_each(|hint| sheet.field("hint", hint, Tone::Attention));
            stage.deferred.key.clone()
        }
    };
    (title, sheet.finish())
}

fn score_sheet(sheet: &mut Sheet, score: &ScoreRun) -> String {
    match &score.phase {
        ScorePhase::Ended(Outcome::Failed { error, hint }) => {
            sheet.field("error", error, Tone::Bad);
            hint.iter().for_each(|hint| sheet.field("hint", hint, Tone::Attention));
        }
        ScorePhase::Ended(Outcome::PlanDone { waits_for }) => {
            waits_for.iter().for_each(|text| sheet.field("waits for", text, Tone::Attention));
        }
        _ => {}
    }
    sheet.field("steps", &count(score.steps.len(), "step"), Tone::Plain);
    sheet.field("later", &count(score.stages.len(), "stage"), Tone::Plain);
    score.name.clone()
}

fn step_sheet(state: &State, sheet: &mut Sheet, score: &ScoreRun, step: &StepRun) {
    let (_, word, tone) = step_word(score, step);
    sheet.field("step", &step.sentence, Tone::Strong);
    sheet.field("target", &step.target, Tone::Plain);
    let since = step.started.map(|at| format!(", started {}", clock(at))).unwrap_or_default();
    let time = step.elapsed(now(state)).map(|s| format!(", {}", duration(s))).unwrap_or_default();
    sheet.field("state", &format!("{word}{since}{time}"), tone);
    if let StepPhase::Waiting { waits_for, until } = &step.phase {
        sheet.field("waits for", &wait(waits_for, *until, now(state)), Tone::Busy);
    }
    if let Some(failure) = &step.failure {
        sheet.field(&format!("failure {}", failure.attempt), &failure.error, Tone::Bad);
        failure.hint.iter().for_each(|hint| sheet.field("hint", hint, Tone::Attention));
    }
    if !step.evidence.is_empty() {
        sheet.heading("Evidence, oldest first");
    }
    step.evidence.iter().for_each(|line| sheet.text(3, line, Tone::Plain));
}

/// What a host is at: its step, and what that waits for, with the evidence.
pub(super) fn current(state: &State, sheet: &mut Sheet, step: &StepRun) {
    let (word, tone) = match &step.phase {
        StepPhase::Waiting { waits_for, until } => {
            (format!("waits for {}", wait(waits_for, *until, now(state))), Tone::Busy)
        }
        StepPhase::Failed => ("FAILED".to_owned(), Tone::Bad),
        StepPhase::Retrying => ("will be tried again".to_owned(), Tone::Attention),
        _ => ("running".to_owned(), Tone::Busy),
    };
    sheet.text(3, &step.sentence, Tone::Plain);
    sheet.text(5, &word, tone);
    if let Some(failure) = &step.failure {
        sheet.text(5, &format!("attempt {} failed: {}", failure.attempt, failure.error), Tone::Bad);
        failure.hint.iter().for_each(|hint| sheet.text(5, &format!("hint: {hint}"), Tone::Attention));
    }
    step.evidence.iter().for_each(|line| sheet.text(5, &format!("· {line}"), Tone::Dim));
}
