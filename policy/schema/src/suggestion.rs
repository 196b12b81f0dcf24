//! "Did you mean …?": the known word nearest to an unknown one.
