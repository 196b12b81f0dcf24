#!/bin/sh
# Cargo's RUSTC_WRAPPER for `cargo xtask fuzz --coverage`: the compiler's counters in our own crates and in the targets alone. In
# those of others they cost minutes of building, and nobody asks for them.
compiler=$1
shift
case " $* " in
*" --crate-name dbal"* | *" fuzz_targets/"*) exec "$compiler" "$@" -C instrument-coverage ;;
esac
exec "$compiler" "$@"
