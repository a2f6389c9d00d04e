//! The commit log: one stream of records, cut into files of fixed size.
