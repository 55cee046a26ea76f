//! The promises of the database, each with a file of its own that tells its story.

mod crash;
mod damage;
mod interface;
mod io_errors;
mod model;
mod model_test;
mod processes;
mod readers;
mod sim;
mod sim_test;
