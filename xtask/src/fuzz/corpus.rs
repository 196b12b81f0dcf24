//! What runs have found, made small enough to be kept in git: inputs that reach something which those that are there do not.

use std::fs;
use std::path::PathBuf;

use super::running::Program;
use crate::Outcome;
use crate::run::{say, show};

/// Most inputs of one target that were found, most bytes of them all, and of one: a clone carries them.
const INPUTS: usize = 150;
const CORPUS_BYTES: u64 = 64 * 1024;
const INPUT_BYTES: u64 = 2 * 1024;

/// Merges what was found into the corpus; where there is more than there is room for, some of all sizes are kept.
pub fn keep(program: &Program) -> Outcome {
    let mut merge = program.command()?;
    merge
        .args(["-merge=1", "-set_cover_merge=1"])
        .args([&program.corpus, &program.found]);
    show(merge)?;
    let mut inputs: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&program.corpus)? {
        let path = entry?.path();
        // Seeds have names that people gave them.
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_hash)
        {
            inputs.push((fs::metadata(&path)?.len(), path));
        }
    }
    inputs.sort();
    let fitting = inputs.iter().filter(|(length, _)| *length <= INPUT_BYTES).count();
    let (mut nth, mut kept, mut bytes) = (0_usize, 0_usize, 0);
    for (length, path) in inputs {
        // Of `fitting` in the order of their sizes, `INPUTS` at equal distances.
        let is_chosen = length <= INPUT_BYTES && (fitting <= INPUTS || (nth * INPUTS) % fitting < INPUTS);
        nth += usize::from(length <= INPUT_BYTES);
        if is_chosen && bytes + length <= CORPUS_BYTES {
            bytes += length;
            kept += 1;
        } else {
            fs::remove_file(path)?;
        }
    }
    say(&format!("{}: {kept} inputs, {bytes} bytes", program.target));
    Ok(())
}

/// libFuzzer names inputs by their SHA-1.
fn is_hash(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
