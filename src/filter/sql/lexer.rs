//! Text to tokens, on demand.
//!
//! Apache's grammar has no end of input: what follows a complete expression is not looked at, except for the one token
//! that shows it is complete. The lexer therefore yields one token at a time and fails only when it comes to the bad one.

use super::SqlError;

/// One token; texts are borrowed from the expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'e> {
    Not,
    And,
    Or,
    Between,
    In,
    True,
    False,
    Null,
    Is,
    Contains,
    StartsWith,
    EndsWith,
    /// Digits, without Java's `L`.
    Integer(&'e str),
    Decimal(&'e str),
    /// Between the quotes, quotes inside still doubled.
    Text(&'e str),
    Name(&'e str),
    Equal,
    NotEqual,
    Greater,
    GreaterEqual,
    Less,
    LessEqual,
    Open,
    Comma,
    Close,
    Plus,
    Minus,
    End,
}

/// The reserved words, in any case.
const WORDS: [(&str, Token<'static>); 12] = [
    ("NOT", Token::Not),
    ("AND", Token::And),
    ("OR", Token::Or),
    ("BETWEEN", Token::Between),
    ("IN", Token::In),
    ("TRUE", Token::True),
    ("FALSE", Token::False),
    ("NULL", Token::Null),
    ("IS", Token::Is),
    ("CONTAINS", Token::Contains),
    ("STARTSWITH", Token::StartsWith),
    ("ENDSWITH", Token::EndsWith),
];

pub(super) struct Lexer<'e> {
    text: &'e str,
    at: usize,
    /// No line ends behind `at`. Remembered, because `--` would look for one each time.
    last_line: bool,
}

impl<'e> Lexer<'e> {
    pub(super) fn new(text: &'e str) -> Self {
        Self {
            text,
            at: 0,
            last_line: false,
        }
    }

    fn rest(&self) -> &'e [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Takes the next `len` bytes, which end at a character.
    fn take(&mut self, len: usize) -> &'e str {
        let end = self.at.saturating_add(len);
        let taken = self.text.get(self.at..end).unwrap_or_default();
        self.at = end;
        taken
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'e>), SqlError> {
        while self.skip_blank() {}
        let at = self.at;
        Ok((at, self.token()?))
    }

    /// Skips one blank or one comment. `--` is a comment only if its line ends, as in Apache's grammar.
    fn skip_blank(&mut self) -> bool {
        let len = match self.rest() {
            [b' ' | b'\t' | b'\n' | b'\r' | b'\x0c', ..] => 1,
            [b'-', b'-', line @ ..] if !self.last_line => {
                let end = line.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
                self.last_line = end.is_none();
                end.map_or(0, |end| end.saturating_add(3))
            }
            [b'/', b'*', comment @ ..] => {
                let end = comment.windows(2).position(|two| two == b"*/");
                end.map_or(0, |end| end.saturating_add(4))
            }
            _ => 0,
        };
        self.take(len);
        len > 0
    }

    fn token(&mut self) -> Result<Token<'e>, SqlError> {
        let (len, token) = match self.rest() {
            [] => (0, Token::End),
            [b'<', b'>', ..] => (2, Token::NotEqual),
            [b'<', b'=', ..] => (2, Token::LessEqual),
            [b'>', b'=', ..] => (2, Token::GreaterEqual),
            [b'<', ..] => (1, Token::Less),
            [b'>', ..] => (1, Token::Greater),
            [b'=', ..] => (1, Token::Equal),
            [b'(', ..] => (1, Token::Open),
            [b',', ..] => (1, Token::Comma),
            [b')', ..] => (1, Token::Close),
            [b'+', ..] => (1, Token::Plus),
            [b'-', ..] => (1, Token::Minus),
            [b'\'', ..] => return self.quoted(),
            [b'0'..=b'9', ..] | [b'.', b'0'..=b'9', ..] => return Ok(self.number()),
            [first, ..] if is_name(*first) => return Ok(self.word()),
            _ => return Err(SqlError::Character { at: self.at }),
        };
        self.take(len);
        Ok(token)
    }

    fn word(&mut self) -> Token<'e> {
        let word = self.take(count(self.rest(), |byte| {
            is_name(byte) || byte.is_ascii_digit()
        }));
        let reserved = WORDS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word));
        reserved.map_or(Token::Name(word), |(_, token)| *token)
    }

    fn quoted(&mut self) -> Result<Token<'e>, SqlError> {
        let mut inside = self.rest().iter().skip(1).enumerate().peekable();
        while let Some((at, byte)) = inside.next() {
            if *byte == b'\'' && inside.next_if(|(_, next)| **next == b'\'').is_none() {
                self.take(1);
                let text = self.take(at);
                self.take(1);
                return Ok(Token::Text(text));
            }
        }
        Err(SqlError::Quote { at: self.at })
    }

    /// The longest number here. A whole number other than 0 does not begin with a zero: `07` is two tokens.
    fn number(&mut self) -> Token<'e> {
        let rest = self.rest();
        let whole = digits(rest);
        let behind = rest.get(whole..).unwrap_or_default();
        let fraction = match behind {
            [b'.', fraction @ ..] => digits(fraction).saturating_add(1),
            _ => 0,
        };
        let exponent = exponent(behind.get(fraction..).unwrap_or_default());
        if fraction > 0 || exponent > 0 {
            return Token::Decimal(
                self.take(whole.saturating_add(fraction).saturating_add(exponent)),
            );
        }
        if rest.first() == Some(&b'0') {
            return Token::Integer(self.take(1));
        }
        let integer = self.take(whole);
        if let [b'l' | b'L', ..] = behind {
            self.take(1);
        }
        Token::Integer(integer)
    }
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$')
}

fn count(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| wanted(**byte)).count()
}

fn digits(bytes: &[u8]) -> usize {
    count(bytes, |byte| byte.is_ascii_digit())
}

/// How long the exponent at the start is, 0 without one.
fn exponent(bytes: &[u8]) -> usize {
    let (sign, power) = match bytes {
        [b'e' | b'E', b'+' | b'-', power @ ..] => (2_usize, power),
        [b'e' | b'E', power @ ..] => (1, power),
        _ => return 0,
    };
    match digits(power) {
        0 => 0,
        power => sign.saturating_add(power),
    }
}
