//! Generators and oracles for the tests of loomdb.
