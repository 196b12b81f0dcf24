//! Laws that hold for all plans.
