//! A terminal that is ours for a while.

use super::Sort;
use crate::failure::Failure;
use crossterm::{
    cursor,
    event::{self, Event, KeyCode, KeyModifiers},
    execute, queue,
    style::Print,
    terminal::{self, ClearType},
};
use std::{
    io::{self, Write as _},
    time::Duration,
};
use tokio::sync::mpsc;

/// How soon the reader of keys notices that nobody wants them.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The whole terminal, given back when it is dropped.
pub(super) struct Screen {
    keys: mpsc::Receiver<char>,
}

impl Screen {
    pub(super) fn open() -> Result<Self, Failure> {
        terminal::enable_raw_mode().map_err(no_terminal)?;
        let (tell, keys) = mpsc::channel(16);
        // From here on its drop gives the terminal back.
        let screen = Self { keys };
        execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)
            .map_err(no_terminal)?;
        // Reading a key blocks: a thread of its own, which ends when nobody listens.
        std::thread::spawn(move || read_keys(&tell));
        Ok(screen)
    }

    /// The next key, in lower case; Ctrl-C and Escape are q. `None` if there can be no more.
    pub(super) async fn key(&mut self) -> Option<char> {
        self.keys.recv().await
    }

    pub(super) fn draw(&mut self, lines: &[String], sort: Sort) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let (width, height) = terminal::size().map_err(no_terminal)?;
        let fit = |line: &str| line.chars().take(width.into()).collect::<String>();
        queue!(
            stdout,
            terminal::Clear(ClearType::All),
            cursor::MoveTo(0, 0)
        )?;
        let rows = usize::from(height.saturating_sub(2));
        for line in lines.iter().take(rows) {
            queue!(stdout, Print(fit(line)), Print("\r\n"))?;
        }
        let keys = Sort::KEYS.map(|(key, of)| {
            let mark = if of == sort { "*" } else { "" };
            format!("{key} {of:?}{mark}").to_lowercase()
        });
        let help = format!("q quits; sort by {}", keys.join(", "));
        queue!(
            stdout,
            cursor::MoveTo(0, height.saturating_sub(1)),
            Print(fit(&help))
        )?;
        Ok(stdout.flush()?)
    }
}

fn no_terminal(error: io::Error) -> Failure {
    Failure::because("the terminal can't be used; --once needs none", error)
}

fn read_keys(tell: &mpsc::Sender<char>) {
    while !tell.is_closed() {
        let Ok(is_there) = event::poll(LOOK_EVERY) else {
            return;
        };
        if !is_there {
            continue;
        }
        let Ok(event) = event::read() else { return };
        let Event::Key(key) = event else { continue };
        let pressed = match key.code {
            KeyCode::Esc => 'q',
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => 'q',
            KeyCode::Char(pressed) => pressed.to_ascii_lowercase(),
            _ => continue,
        };
        // One that nobody takes is one too many.
        let _ = tell.try_send(pressed);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // What can't be given back now is not there any more.
        let _ = execute!(io::stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
