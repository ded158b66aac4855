//! A stand-in for Tirreno, for tests.
