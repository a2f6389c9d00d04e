//! The screen: drawn after every look and every key.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Row as TableRow, Table};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::look::{Look, Row};
use super::{Args, Sort, arranged};
use crate::cli::exit::{CliError, Exit};
use crate::cli::topic::fits;
use crate::client::Admin;

/// How long a wait for a key may keep the reader of keys from ending.
const KEY_WAIT: Duration = Duration::from_millis(200);

/// What is shown, and how.
struct State {
    looks: (Option<Look>, Option<Look>),
    sort: Sort,
    filter: String,
    /// The filter is being typed.
    typing: bool,
    paused: bool,
    error: Option<String>,
}

/// What a key means.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    GoOn,
    Quit,
    Interrupt,
}

/// Shows the screen until somebody has seen enough.
pub(super) async fn run(args: &Args, admin: &Admin) -> Result<Exit, CliError> {
    let first = Look::take(&args.targets, admin).await?;
    let mut state = State {
        looks: (None, Some(first)),
        sort: args.sort,
        filter: args.filter.clone().unwrap_or_default(),
        typing: false,
        paused: false,
        error: None,
    };
    let mut terminal = ratatui::try_init()?;
    let ended = show(args, admin, &mut terminal, &mut state).await;
    ratatui::restore();
    ended
}

async fn show(
    args: &Args,
    admin: &Admin,
    terminal: &mut ratatui::DefaultTerminal,
    state: &mut State,
) -> Result<Exit, CliError> {
    let (out, mut keys) = mpsc::channel(16);
    tokio::task::spawn_blocking(move || read_keys(&out));
    let mut ticks = interval(args.interval.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first tick is now, and the first look was just taken.
    ticks.tick().await;
    loop {
        terminal.draw(|frame| draw(frame, state))?;
        tokio::select! {
            biased;
            key = keys.recv() => match key {
                Some(Event::Key(key)) => match state.key(key) {
                    Wish::GoOn => {}
                    Wish::Quit => return Ok(Exit::Ok),
                    Wish::Interrupt => return Ok(Exit::Interrupted),
                },
                // The window has another size now.
                Some(_) => {}
                None => return Ok(Exit::Ok),
            },
            _ = ticks.tick(), if !state.paused => match Look::take(&args.targets, admin).await {
                Ok(look) => {
                    state.looks.0 = state.looks.1.replace(look);
                    state.error = None;
                }
                Err(error) => state.error = Some(error.to_string()),
            },
        }
    }
}

fn read_keys(out: &mpsc::Sender<Event>) {
    while !out.is_closed() {
        match event::poll(KEY_WAIT) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(event) => {
                    if out.blocking_send(event).is_err() {
                        return;
                    }
                }
                Err(_) => return,
            },
            Err(_) => return,
        }
    }
}

impl State {
    fn key(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::GoOn;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Wish::Interrupt;
        }
        match key.code {
            KeyCode::Enter if self.typing => self.typing = false,
            KeyCode::Esc if self.typing => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace if self.typing => {
                self.filter.pop();
            }
            KeyCode::Char(letter) if self.typing => self.filter.push(letter),
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('p') => self.paused = !self.paused,
            KeyCode::Char('/') => {
                self.typing = true;
                self.filter.clear();
            }
            _ => {}
        }
        Wish::GoOn
    }

    fn rows(&self) -> Vec<Row> {
        let Some(last) = &self.looks.1 else {
            return Vec::new();
        };
        let filter = self.filter.as_str();
        arranged(&last.rows(self.looks.0.as_ref()), self.sort, |name| {
            filter.is_empty() || name.contains(filter) || fits(filter, name)
        })
    }

    fn headline(&self) -> String {
        let (producers, consumers) = match &self.looks.1 {
            Some(look) => (look.producers, look.consumers),
            None => (0, 0),
        };
        let filter = match (self.typing, self.filter.as_str()) {
            (true, text) => format!(" · filter: {text}▏"),
            (false, "") => String::new(),
            (false, text) => format!(" · filter: {text}"),
        };
        let paused = if self.paused { " · paused" } else { "" };
        format!(
            "rmq top · {producers} producers · {consumers} consumers · by {}{filter}{paused}",
            self.sort.name()
        )
    }
}

fn draw(frame: &mut Frame<'_>, state: &State) {
    let rows = state.rows();
    let of = |kind: &str| -> Vec<&Row> { rows.iter().filter(|row| row.kind == kind).collect() };
    let brokers = of("broker");
    let height = u16::try_from(brokers.len() + 2).unwrap_or(u16::MAX).min(8);
    let [head, groups, topics, disks, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Fill(1),
        Constraint::Length(height),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Line::from(state.headline()).bold(), head);
    let shown = |number: Option<f64>| number.map_or_else(String::new, |rate| format!("{rate:.1}"));
    let count = |number: Option<i64>| number.map_or_else(String::new, |count| count.to_string());
    table(
        frame,
        groups,
        ["GROUP", "LAG", "OUT/S", "MEMBERS"],
        of("group").into_iter().map(|row| {
            let members = row
                .members
                .map_or_else(String::new, |count| count.to_string());
            [
                row.name.clone(),
                count(row.lag),
                shown(row.consumed),
                members,
            ]
        }),
    );
    table(
        frame,
        topics,
        ["TOPIC", "IN/S", "OUT/S", "MESSAGES"],
        of("topic").into_iter().map(|row| {
            [
                row.name.clone(),
                shown(row.sent),
                shown(row.consumed),
                count(row.messages),
            ]
        }),
    );
    table(
        frame,
        disks,
        ["BROKER", "IN/S", "OUT/S", "DISK %"],
        brokers.into_iter().map(|row| {
            let last = row.error.clone().unwrap_or_else(|| shown(row.disk));
            [row.name.clone(), shown(row.sent), shown(row.consumed), last]
        }),
    );
    let foot_line = match &state.error {
        Some(error) => Line::from(error.as_str()).red(),
        None => Line::from("q quit  s sort  / filter  p pause").dim(),
    };
    frame.render_widget(foot_line, foot);
}

fn table(
    frame: &mut Frame<'_>,
    area: Rect,
    titles: [&'static str; 4],
    rows: impl Iterator<Item = [String; 4]>,
) {
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(14),
        Constraint::Length(14),
        Constraint::Length(14),
    ];
    let table = Table::new(rows.map(TableRow::new), widths)
        .header(TableRow::new(titles).style(Style::new().bold()))
        .block(Block::new().borders(Borders::TOP));
    frame.render_widget(table, area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn state() -> State {
        State {
            looks: (None, None),
            sort: Sort::Lag,
            filter: String::new(),
            typing: false,
            paused: false,
            error: None,
        }
    }

    #[test]
    fn keys_do_what_the_foot_says() {
        let mut state = state();
        let mut press = |code| state.key(KeyEvent::from(code));
        assert_eq!(press(KeyCode::Char('s')), Wish::GoOn);
        assert_eq!(press(KeyCode::Char('/')), Wish::GoOn);
        // While a filter is typed, letters are letters.
        assert_eq!(press(KeyCode::Char('q')), Wish::GoOn);
        assert_eq!(press(KeyCode::Enter), Wish::GoOn);
        assert_eq!(press(KeyCode::Char('q')), Wish::Quit);
        let control = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(state.key(control), Wish::Interrupt);
        assert_eq!((state.filter.as_str(), state.sort), ("q", Sort::Rate));
        assert!(state.headline().contains("by rate · filter: q"));
    }

    #[test]
    fn it_is_drawn_on_any_screen() {
        for (width, height) in [(80, 24), (3, 2), (1, 1), (200, 60)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &state())).unwrap();
            let first: String = (0..width)
                .map(|x| terminal.backend().buffer()[(x, 0)].symbol().to_owned())
                .collect();
            assert!(width < 10 || first.starts_with("rmq"), "{first}");
        }
    }
}
