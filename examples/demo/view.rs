//! The live view. The block of lines is pure; [`Screen`] draws it, in place on a terminal, and writes
//! plain lines with the time before them everywhere else.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use crate::record::percent;
use crate::story::state_line;
use crate::world::World;

/// How often a line of state is written where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const BLUE: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// The block for one moment. `chapter` says what is being shown.
pub(crate) fn block(world: &World, chapter: &str, at: Duration) -> Vec<String> {
    let rollout = &world.rollout;
    let mut lines = vec![
        String::new(),
        format!(
            "{BOLD}Serin demo  {:02}:{:02}  {chapter}{RESET}",
            at.as_secs() / 60,
            at.as_secs() % 60
        ),
    ];
    lines.push(format!(
        "  Rollout   {}{}{RESET}  {}",
        phase_colour(&rollout.phase),
        rollout.phase,
        rollout.message
    ));
    lines.push(format!("  steps     {}", steps(world)));
    lines.push(format!(
        "  weight    {:>3}  {}",
        rollout.weight,
        bar(rollout.weight)
    ));
    lines.push(String::new());
    lines.push(format!(
        "{DIM}  version  pods ready     requests    errors   requests/s{RESET}"
    ));
    let mut sets: Vec<_> = world.sets.values().collect();
    sets.sort_by(|a, b| a.version.cmp(&b.version));
    for set in sets {
        let answers = world.load.of(&set.version);
        let pace = world.pace.get(&set.version).copied().unwrap_or_default();
        let colour = if answers.errors > 0 { RED } else { "" };
        lines.push(format!(
            "  {:<7}  {:>2} {:<13}{:>7}{colour}{:>10}{RESET}{:>10.0}   {DIM}{}{RESET}",
            set.version,
            set.available,
            dots(set.available, set.desired),
            answers.requests,
            answers.errors,
            pace,
            role(world, &set.hash),
        ));
    }
    let lost = world.load.lost();
    let colour = if lost > 0 { RED } else { "" };
    lines.push(format!("  {colour}without an answer {lost:>17}{RESET}"));
    lines.push(String::new());
    lines.extend(runs(world));
    lines
}

fn phase_colour(phase: &str) -> &'static str {
    match phase {
        "Healthy" | "Successful" => GREEN,
        "Degraded" | "Failed" | "Error" => RED,
        _ => YELLOW,
    }
}

fn role(world: &World, hash: &str) -> &'static str {
    let rollout = &world.rollout;
    match (hash == rollout.stable, hash == rollout.current) {
        (true, _) => "stable",
        (false, true) if rollout.aborted => "aborted",
        (false, true) => "canary",
        (false, false) => "",
    }
}

fn steps(world: &World) -> String {
    let rollout = &world.rollout;
    let done = rollout.step.unwrap_or_default();
    let words: Vec<_> = rollout
        .steps
        .iter()
        .enumerate()
        .map(|(index, words)| {
            let words = words.strip_prefix("setWeight ").unwrap_or(words);
            match index.cmp(&done) {
                std::cmp::Ordering::Less => format!("{GREEN}{words}{RESET}"),
                std::cmp::Ordering::Equal => format!("{BOLD}[{words}]{RESET}"),
                std::cmp::Ordering::Greater => format!("{DIM}{words}{RESET}"),
            }
        })
        .collect();
    words.join(" ")
}

/// A bar of 20 places for 0 to 100 percent.
fn bar(percent: u64) -> String {
    let full = usize::try_from(percent.min(100) / 5).unwrap_or_default();
    format!("{BLUE}{}{DIM}{}{RESET}", "█".repeat(full), "░".repeat(20 - full))
}

/// One dot for each pod: full when ready, empty when wanted but not yet ready.
fn dots(ready: u64, wanted: u64) -> String {
    let ready = usize::try_from(ready).unwrap_or_default();
    let wanted = usize::try_from(wanted).unwrap_or_default();
    "●".repeat(ready) + &"○".repeat(wanted.saturating_sub(ready))
}

/// The runs of the newest revision with runs, by step.
fn runs(world: &World) -> Vec<String> {
    let mut runs: Vec<_> = world
        .runs
        .values()
        .filter(|run| run.hash == world.rollout.current)
        .collect();
    runs.sort_by_key(|run| run.step);
    runs.into_iter()
        .map(|run| {
            let weight = run.step.map_or(0, |step| world.weight_at(step));
            let values: Vec<_> = run.values.iter().map(|value| percent(value)).collect();
            format!(
                "  analysis at {weight:>3}  {}{:<11}{RESET} {}",
                phase_colour(&run.phase),
                run.phase,
                values.join("  ")
            )
        })
        .collect()
}

/// Cuts a line at `width` visible characters; what begins with an escape up to its `m` takes no room.
pub(crate) fn clip(line: &str, width: usize) -> String {
    let mut out = String::new();
    let mut room = width;
    let mut escape = false;
    for character in line.chars() {
        if escape || character == '\x1b' {
            escape = character != 'm';
        } else if room == 0 {
            continue;
        } else {
            room -= 1;
        }
        out.push(character);
    }
    out
}

fn plain(line: &str) -> String {
    let mut escape = false;
    line.chars()
        .filter(|character| {
            let keep = !escape && *character != '\x1b';
            escape = !keep && *character != 'm';
            keep
        })
        .collect()
}

/// Where the view goes.
pub(crate) struct Screen {
    terminal: bool,
    colour: bool,
    width: usize,
    /// Lines of the block that stands at the bottom of the terminal now.
    drawn: usize,
    last_plain: Option<Duration>,
}

impl Screen {
    /// On a terminal the width is that of COLUMNS, which a shell does not export by itself: see run.sh.
    pub(crate) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let width = std::env::var("COLUMNS")
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|width| *width > 0);
        Self {
            terminal,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            width: width.unwrap_or(80),
            drawn: 0,
            last_plain: None,
        }
    }

    /// Writes a line that stays, above the block.
    pub(crate) fn say(&mut self, at: Duration, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.erase(&mut out)?;
        writeln!(out, "{:>4} s  {line}", at.as_secs())?;
        out.flush()
    }

    /// Shows the state of this moment.
    pub(crate) fn draw(&mut self, world: &World, chapter: &str, at: Duration) -> io::Result<()> {
        if !self.terminal {
            if self
                .last_plain
                .is_none_or(|last| at.saturating_sub(last) >= PLAIN_EVERY)
            {
                self.last_plain = Some(at);
                return self.say(at, &state_line(world));
            }
            return Ok(());
        }
        let lines = block(world, chapter, at);
        let mut out = io::stdout().lock();
        self.erase(&mut out)?;
        for line in &lines {
            let line = if self.colour {
                clip(line, self.width)
            } else {
                clip(&plain(line), self.width)
            };
            writeln!(out, "{line}")?;
        }
        self.drawn = lines.len();
        out.flush()
    }

    /// Writes lines that stay, without a time.
    pub(crate) fn finish(&mut self, lines: &[String]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        self.drawn = 0;
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()
    }

    fn erase(&mut self, out: &mut impl Write) -> io::Result<()> {
        if self.drawn > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
            self.drawn = 0;
        }
        Ok(())
    }
}
