//! The promises of the database, each with a file of its own that tells its story.

mod backup;
mod check;
mod condition;
mod crash;
mod damage;
mod export;
mod filtered;
mod filtered_recall;
mod group;
mod interface;
mod io_errors;
mod model;
mod model_test;
mod one_change;
mod processes;
mod readers;
mod reads;
mod sim;
mod sim_test;
mod space;
mod streams;
