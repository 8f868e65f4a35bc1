//! What each key does.
//!
//! Order of hearing: Ctrl-C, the dialog that is open, the search that is typed, the screen. The help
//! and the footer in `view` tell of these keys; change them together.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::tree::Row;
use super::{Dialog, State, Tab};
use crate::action::{Notice, UserAction};
use crate::assign::{AssignDialog, Verdict, refusal};
use crate::state::rack::is_free;
use crate::view;

impl State {
    /// Takes a key; what the user wants done is returned.
    pub fn on_key(&mut self, key: KeyEvent) -> Vec<UserAction> {
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return self.on_interrupt();
        }
        match self.ui.dialog.take() {
            Some(dialog) => self.on_dialog_key(dialog, key),
            None if self.ui.searching => {
                self.on_search_key(key);
                vec![]
            }
            None => self.on_screen_key(key),
        }
    }

    /// Whether there is a run that leaving would harm.
    fn can_leave(&self) -> bool {
        self.read_only || !self.run.is_under_way()
    }

    /// First a graceful end, then the question whether to leave, then out.
    fn on_interrupt(&mut self) -> Vec<UserAction> {
        if self.can_leave() || matches!(self.ui.dialog, Some(Dialog::Quit)) {
            return vec![UserAction::Quit];
        }
        if self.stopping {
            self.ui.dialog = Some(Dialog::Quit);
            return vec![];
        }
        self.ui.dialog = None;
        self.stop()
    }

    fn stop(&mut self) -> Vec<UserAction> {
        self.stopping = true;
        vec![UserAction::Stop]
    }

    fn on_dialog_key(&mut self, dialog: Dialog, key: KeyEvent) -> Vec<UserAction> {
        match (dialog, key.code) {
            (Dialog::Help, _) => {}
            (Dialog::Stop, KeyCode::Enter | KeyCode::Char('y' | 'Y')) => return self.stop(),
            (Dialog::Quit, KeyCode::Char('y' | 'Y')) => return vec![UserAction::Quit],
            (Dialog::Stop | Dialog::Quit, KeyCode::Esc | KeyCode::Char('n' | 'N')) => {}
            (Dialog::Assign(mut assign), _) => {
                let roles = self.open_roles();
                match assign.on_key(key, &self.rack, &roles) {
                    Verdict::Open => self.ui.dialog = Some(Dialog::Assign(assign)),
                    Verdict::Closed => {}
                    Verdict::Done(action) => {
                        self.notify(Notice::info("asked for; the host's row changes when it is done"));
                        return vec![action];
                    }
                }
            }
            (dialog, _) => self.ui.dialog = Some(dialog),
        }
        vec![]
    }

    fn on_search_key(&mut self, key: KeyEvent) {
        let search = &mut self.ui.searches[self.ui.tab as usize];
        match key.code {
            KeyCode::Enter => self.ui.searching = false,
            KeyCode::Esc => {
                search.set("");
                self.ui.searching = false;
            }
            KeyCode::Up => self.step(-1),
            KeyCode::Down => self.step(1),
            _ => {
                if search.on_key(key) {
                    self.ui.details_top = 0;
                }
            }
        }
    }

    fn on_screen_key(&mut self, key: KeyEvent) -> Vec<UserAction> {
        let page = view::page(self);
        match key.code {
            KeyCode::Char('q') if self.can_leave() => return vec![UserAction::Quit],
            KeyCode::Char('q') => {
                self.ui.dialog = Some(if self.stopping { Dialog::Quit } else { Dialog::Stop });
            }
            KeyCode::Char('?') | KeyCode::F(1) => self.ui.dialog = Some(Dialog::Help),
            KeyCode::Char(digit @ '1'..='4') => self.show(Tab::ALL[digit as usize - '1' as usize]),
            KeyCode::Right | KeyCode::Char('l') => self.show(Tab::ALL[(self.ui.tab as usize + 1) % 4]),
            KeyCode::Left | KeyCode::Char('h') => self.show(Tab::ALL[(self.ui.tab as usize + 3) % 4]),
            KeyCode::Tab | KeyCode::BackTab => self.ui.on_details = view::has_details(self) && !self.ui.on_details,
            KeyCode::Char('/') => self.ui.searching = true,
            KeyCode::Esc => self.on_escape(),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::PageUp => self.step(-page),
            KeyCode::PageDown => self.step(page),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX),
            KeyCode::Enter => self.on_enter(),
            KeyCode::Char('a') => self.open_assign(),
            KeyCode::Char('d') if self.ui.tab == Tab::Run => self.ui.tree.hide_done = !self.ui.tree.hide_done,
            KeyCode::Char('f') if self.ui.tab == Tab::Run => self.ui.tree.at = None,
            KeyCode::Char('f') if self.ui.tab == Tab::Log => self.ui.log_end = None,
            _ => {}
        }
        vec![]
    }

    fn show(&mut self, tab: Tab) {
        if self.ui.tab != tab {
            self.ui.tab = tab;
            (self.ui.on_details, self.ui.details_open, self.ui.details_top) = (false, false, 0);
        }
    }

    /// Takes back the topmost thing.
    fn on_escape(&mut self) {
        if self.ui.notice.take().is_some() {
        } else if self.ui.details_open || self.ui.on_details {
            (self.ui.on_details, self.ui.details_open, self.ui.details_top) = (false, false, 0);
        } else {
            self.ui.searches[self.ui.tab as usize].set("");
        }
    }

    fn on_enter(&mut self) {
        if self.ui.tab == Tab::Run {
            let rows = self.ui.tree.rows(&self.run, self.wanted());
            let at = self.ui.tree.selected(&self.run, &rows);
            if let Some(Row::Score { score, folded }) = rows.get(at) {
                let (name, folded) = (score.name.clone(), *folded);
                self.ui.tree.folds.insert(name, !folded);
                return;
            }
            self.ui.tree.at = rows.get(at).map(Row::node);
        }
        if self.ui.tab != Tab::Log {
            self.ui.details_open = !self.ui.details_open;
            (self.ui.on_details, self.ui.details_top) = (self.ui.details_open, 0);
        }
    }

    /// Moves by so many rows in the list, or scrolls the details.
    fn step(&mut self, by: isize) {
        let moved = |at: usize, count: usize| at.saturating_add_signed(by).min(count.saturating_sub(1));
        if self.ui.on_details {
            // One more than the overflow, as `moved` stops one short of its count.
            self.ui.details_top = moved(self.ui.details_top, view::details_overflow(self) + 1);
            return;
        }
        self.ui.details_top = 0;
        match self.ui.tab {
            Tab::Run => {
                let rows = self.ui.tree.rows(&self.run, self.wanted());
                let at = self.ui.tree.selected(&self.run, &rows);
                self.ui.tree.at = rows.get(moved(at, rows.len())).map(Row::node);
            }
            Tab::Hosts => {
                let (hosts, at) = self.hosts();
                self.ui.host = hosts.get(moved(at, hosts.len())).map(|host| host.id.clone());
            }
            Tab::Ports => {
                let (ports, at) = self.ports();
                self.ui.port = ports.get(moved(at, ports.len())).map(|of| of.status.port.clone());
            }
            Tab::Log => {
                let entries = self.log.matching(self.wanted());
                let shown = |end: usize| entries.iter().rposition(|(number, _)| *number <= end).unwrap_or(0);
                let last = entries.len().saturating_sub(1);
                let at = moved(self.ui.log_end.map_or(last, shown), entries.len());
                self.ui.log_end = if at == last { None } else { entries.get(at).map(|(number, _)| *number) };
            }
        }
    }

    /// For the selected host; on other screens for the first that waits for a role.
    fn open_assign(&mut self) {
        if self.read_only {
            self.notify(Notice::refused("this is a replay: nothing can be changed"));
            return;
        }
        let host = if self.ui.tab == Tab::Hosts {
            let (hosts, at) = self.hosts();
            hosts.get(at).copied()
        } else {
            self.rack.hosts().iter().find(|host| is_free(host))
        };
        match host.map(|host| (host.id.clone(), refusal(host))) {
            None => self.notify(Notice::refused("no host waits for a role")),
            Some((_, Some(reason))) => self.notify(Notice::refused(reason)),
            Some((id, None)) => {
                self.show(Tab::Hosts);
                self.ui.host = Some(id.clone());
                let roles = self.open_roles();
                self.ui.dialog = Some(Dialog::Assign(AssignDialog::new(id, &roles)));
            }
        }
    }
}
