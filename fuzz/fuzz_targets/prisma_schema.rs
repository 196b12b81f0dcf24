//! A Prisma schema: entity files come of it that load, or it is told what is wrong with it.
#![no_main]

use dbal_fuzz::source;
use dbal_schema::Schema;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (files, problems, warnings) = dbal::fuzzed::imported(text);
    assert!(
        !files.is_empty() || problems > 0 || warnings > 0 || !text.starts_with("model "),
        "a model went without a word"
    );
    let sources: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(nth, text)| source(&format!("{nth}.yaml"), text))
        .collect();
    let is_entity = |text: &&String| text.lines().any(|line| line.starts_with("entity: "));
    let entities = files.iter().filter(is_entity).count();
    assert!(
        entities == files.len() || problems > 0,
        "an entity became a comment without a word"
    );
    if entities > 0
        && let Err(error) = Schema::parse(&sources)
    {
        panic!("{error}\n{}", files.join("---\n"));
    }
});
