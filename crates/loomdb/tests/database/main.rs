//! The promises of the database, each with a file of its own that tells its story.

mod sim;
mod sim_test;
