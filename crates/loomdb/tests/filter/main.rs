//! The filter language: what filters mean, which are refused, and that the kernels agree with a
//! naive evaluation of every row.

mod agreement;
mod arguments;
mod errors;
mod indexed;
mod meaning;
mod operators;
mod oracle;
mod syntax;
mod table;
