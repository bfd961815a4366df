//! The terminal's other screen, drawn over and over; the first one is back when this is dropped, however that happens.

use std::io::{self, Stdout, Write as _};

use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use crossterm::terminal::{
    Clear, ClearType, DisableLineWrap, EnableLineWrap, EnterAlternateScreen, LeaveAlternateScreen, size,
};
use crossterm::{cursor, execute, queue};

/// A terminal that shows one page.
pub struct Screen {
    stdout: Stdout,
    coloured: bool,
}

impl Screen {
    /// Turns to the other screen.
    pub fn open() -> io::Result<Self> {
        let stdout = io::stdout();
        let coloured = AutoStream::choice(&stdout) != ColorChoice::Never;
        // Made first: whatever fails from here on, dropping it turns back.
        let mut screen = Self { stdout, coloured };
        execute!(screen.stdout, EnterAlternateScreen, DisableLineWrap, cursor::Hide)?;
        Ok(screen)
    }

    /// Draws a page over the last one: as many lines as there is room for.
    pub fn draw(&mut self, page: &str) -> io::Result<()> {
        let page = if self.coloured { page.to_owned() } else { strip_str(page).to_string() };
        // A terminal that does not know its size says 0.
        let rows = size().ok().map(|(_, rows)| usize::from(rows)).filter(|rows| *rows > 0).unwrap_or(usize::MAX);
        queue!(self.stdout, cursor::MoveTo(0, 0))?;
        for (number, line) in page.lines().take(rows).enumerate() {
            if number > 0 {
                write!(self.stdout, "\r\n")?;
            }
            write!(self.stdout, "{line}")?;
            queue!(self.stdout, Clear(ClearType::UntilNewLine))?;
        }
        queue!(self.stdout, Clear(ClearType::FromCursorDown))?;
        self.stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to be told that the terminal is gone.
        let _ = execute!(self.stdout, cursor::Show, EnableLineWrap, LeaveAlternateScreen);
    }
}
