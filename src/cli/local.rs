//! Secrets that the operator gives: on standard input, where no list of processes shows them.

use std::io::{BufRead, Read};

use zeroize::Zeroizing;

use crate::inventory;

use super::args::Global;
use super::failure::Failure;

/// The longest line that is read, in bytes.
const LINE: u64 = 16 * 1024;

/// What `-` stands for, or the text itself.
pub(super) fn given(global: &Global, what: &str, text: &str) -> Result<Zeroizing<String>, Failure> {
    if text != "-" {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    if inventory::is_standard_input(&global.inventory) {
        return Err(Failure::usage(format!("{what} -: the inventory comes from there already")));
    }
    // As long as it gets, so that growing leaves no copy in freed memory.
    let mut line = Zeroizing::new(String::with_capacity(LINE as usize));
    std::io::stdin()
        .lock()
        .take(LINE)
        .read_line(&mut line)
        .map_err(|error| Failure::usage(format!("{what} -: {error}")))?;
    Ok(Zeroizing::new(line.trim().to_owned()))
}
