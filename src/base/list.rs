//! Lists in one line of text.

/// The addresses of a list: Apache puts `;` between them, people a comma or a blank too many.
///
/// ```
/// use rmq::base::list::addresses;
///
/// assert_eq!(addresses("a:1; b:2,c:3;").collect::<Vec<_>>(), ["a:1", "b:2", "c:3"]);
/// ```
pub fn addresses(list: &str) -> impl Iterator<Item = &str> {
    list.split([';', ','])
        .map(str::trim)
        .filter(|address| !address.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_entries_are_no_addresses() {
        let read = |list| addresses(list).collect::<Vec<_>>();
        assert_eq!(read("a:1; b:2,c:3;"), ["a:1", "b:2", "c:3"]);
        assert_eq!(read(" ; ,"), [""; 0]);
    }
}
