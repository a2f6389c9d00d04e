//! Tokens to a compiled expression, by recursive descent.
//!
//! From weak to strong: OR; AND; `=`, `<>`, IS NULL; the ordering operators, BETWEEN, IN, CONTAINS and its kin; NOT and
//! signs. All of them may be chained, the left operand growing. Which operands an operator takes is checked here, as far
//! as Apache checks it: what a constant, a property or a condition is can be seen in the text.

use std::collections::BTreeMap;

use super::lexer::{Lexer, Token};
use super::node::{Between, Literal, Node, Place, Relation, Search};
use super::value::order;
use super::{DEPTH_MAX, SqlError};

/// What Apache's checks tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Constant,
    Property,
    Condition,
    /// A sign before something; never checked.
    Signed,
}

struct Operand {
    node: Node,
    kind: Kind,
    depth: usize,
}

impl Operand {
    fn new(kind: Kind, node: Node) -> Self {
        Self {
            node,
            kind,
            depth: 1,
        }
    }

    fn is_number(&self) -> bool {
        matches!(&self.node, Node::Literal(literal) if literal.value().is_number())
    }

    fn is_condition(&self) -> bool {
        let truth = matches!(self.node, Node::Literal(Literal::Null | Literal::Bool(_)));
        self.kind == Kind::Condition || truth
    }
}

/// An operator that was met, for messages.
#[derive(Clone, Copy)]
struct Operator {
    name: &'static str,
    at: usize,
}

impl Operator {
    fn cannot_take(self, operand: &'static str) -> SqlError {
        SqlError::Operand {
            operator: self.name,
            operand,
            at: self.at,
        }
    }

    /// The ordering operators take numbers and what is only known for a message.
    fn check_ordered(self, operand: &Operand) -> Result<(), SqlError> {
        if operand.is_condition() {
            return Err(self.cannot_take("a condition, TRUE, FALSE or NULL"));
        }
        if operand.kind == Kind::Constant && !operand.is_number() {
            return Err(self.cannot_take("a text"));
        }
        Ok(())
    }

    fn check_equal(self, left: &Operand, right: &Operand) -> Result<(), SqlError> {
        let null = |side: &Operand| matches!(side.node, Node::Literal(Literal::Null));
        if null(left) || null(right) {
            return Err(self.cannot_take("NULL (there is IS NULL)"));
        }
        let constants = left.kind == Kind::Constant && right.kind == Kind::Constant;
        if constants && left.is_condition() && !right.is_condition() {
            return Err(self.cannot_take("a boolean and another constant"));
        }
        Ok(())
    }
}

struct Parser<'e> {
    lexer: Lexer<'e>,
    token: Token<'e>,
    at: usize,
    /// Signs, NOTs and parentheses around the current token.
    nesting: usize,
    slots: BTreeMap<&'e str, usize>,
}

/// The compiled expression and the slots of the properties in it.
pub(super) fn parse(text: &str) -> Result<(Node, BTreeMap<&str, usize>), SqlError> {
    let mut lexer = Lexer::new(text);
    let (at, token) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        at,
        nesting: 0,
        slots: BTreeMap::new(),
    };
    let whole = parser.disjunction()?;
    let root = parser.condition(whole)?.node;
    Ok((root, parser.slots))
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<(), SqlError> {
        (self.at, self.token) = self.lexer.next()?;
        Ok(())
    }

    fn expected(&self, wanted: &'static str) -> SqlError {
        SqlError::Expected {
            wanted,
            at: self.at,
        }
    }

    fn expect(&mut self, token: Token<'_>, wanted: &'static str) -> Result<(), SqlError> {
        if self.token != token {
            return Err(self.expected(wanted));
        }
        self.advance()
    }

    /// Takes the current token as an operator.
    fn operator(&mut self, name: &'static str) -> Result<Operator, SqlError> {
        let at = self.at;
        self.advance()?;
        Ok(Operator { name, at })
    }

    /// A condition made of parts, the deepest of which is `depth` deep.
    fn compound(&self, depth: usize, node: Node) -> Result<Operand, SqlError> {
        self.deeper(Operand {
            node,
            kind: Kind::Condition,
            depth,
        })
    }

    /// One level more around `operand`.
    fn deeper(&self, mut operand: Operand) -> Result<Operand, SqlError> {
        operand.depth = operand.depth.saturating_add(1);
        if operand.depth > DEPTH_MAX {
            return Err(SqlError::TooDeep { at: self.at });
        }
        Ok(operand)
    }

    fn condition(&self, operand: Operand) -> Result<Operand, SqlError> {
        match operand.node {
            Node::Property(slot) => Ok(Operand::new(Kind::Condition, Node::PropertyAsTruth(slot))),
            _ if operand.is_condition() => Ok(operand),
            _ => Err(SqlError::NotCondition { at: self.at }),
        }
    }

    fn disjunction(&mut self) -> Result<Operand, SqlError> {
        let first = self.conjunction()?;
        self.chain(first, Token::Or, Self::conjunction, Node::Or)
    }

    fn conjunction(&mut self) -> Result<Operand, SqlError> {
        let first = self.equality()?;
        self.chain(first, Token::And, Self::equality, Node::And)
    }

    /// Operands with AND or OR between them: one node, however many there are.
    fn chain(
        &mut self,
        first: Operand,
        between: Token<'_>,
        operand: fn(&mut Self) -> Result<Operand, SqlError>,
        node: fn(Vec<Node>) -> Node,
    ) -> Result<Operand, SqlError> {
        if self.token != between {
            return Ok(first);
        }
        let first = self.condition(first)?;
        let (mut depth, mut nodes) = (first.depth, vec![first.node]);
        while self.token == between {
            self.advance()?;
            let next = operand(self)?;
            let next = self.condition(next)?;
            depth = depth.max(next.depth);
            nodes.push(next.node);
        }
        self.compound(depth, node(nodes))
    }

    fn equality(&mut self) -> Result<Operand, SqlError> {
        let mut left = self.comparison()?;
        loop {
            left = match self.token {
                Token::Equal => {
                    let operator = self.operator("=")?;
                    self.equals(left, operator)?
                }
                Token::NotEqual => {
                    let operator = self.operator("<>")?;
                    let equal = self.equals(left, operator)?;
                    negation(equal)
                }
                Token::Is => self.is_null(left)?,
                _ => return Ok(left),
            };
        }
    }

    fn equals(&mut self, left: Operand, operator: Operator) -> Result<Operand, SqlError> {
        let right = self.comparison()?;
        operator.check_equal(&left, &right)?;
        let depth = left.depth.max(right.depth);
        self.compound(depth, Node::Equal(Box::new((left.node, right.node))))
    }

    fn is_null(&mut self, left: Operand) -> Result<Operand, SqlError> {
        self.advance()?;
        let not = self.token == Token::Not;
        if not {
            self.advance()?;
        }
        self.expect(Token::Null, "NULL or NOT NULL")?;
        let whole = self.compound(left.depth, Node::IsNull(Box::new(left.node)))?;
        Ok(if not { negation(whole) } else { whole })
    }

    fn comparison(&mut self) -> Result<Operand, SqlError> {
        let mut left = self.signed()?;
        loop {
            left = match self.token {
                Token::Greater => self.relation(left, ">", Relation::Greater)?,
                Token::GreaterEqual => self.relation(left, ">=", Relation::GreaterEqual)?,
                Token::Less => self.relation(left, "<", Relation::Less)?,
                Token::LessEqual => self.relation(left, "<=", Relation::LessEqual)?,
                Token::Not => {
                    self.advance()?;
                    match self.membership(left, true)? {
                        Ok(whole) => whole,
                        Err(_) => return Err(self.expected("BETWEEN, IN or a text operator")),
                    }
                }
                _ => match self.membership(left, false)? {
                    Ok(whole) => whole,
                    Err(left) => return Ok(left),
                },
            };
        }
    }

    fn relation(
        &mut self,
        left: Operand,
        name: &'static str,
        relation: Relation,
    ) -> Result<Operand, SqlError> {
        let operator = self.operator(name)?;
        let right = self.signed()?;
        operator.check_ordered(&left)?;
        operator.check_ordered(&right)?;
        let depth = left.depth.max(right.depth);
        let sides = Box::new((left.node, right.node));
        self.compound(depth, Node::Relation(relation, sides))
    }

    /// The operators that have a NOT form. `Err` gives the operand back if there is none of them.
    fn membership(
        &mut self,
        left: Operand,
        not: bool,
    ) -> Result<Result<Operand, Operand>, SqlError> {
        let whole = match self.token {
            Token::Between => self.between(left, not)?,
            Token::In => self.listed(&left, not)?,
            Token::Contains => self.search(left, Place::Anywhere, not)?,
            Token::StartsWith => self.search(left, Place::Start, not)?,
            Token::EndsWith => self.search(left, Place::End, not)?,
            _ => return Ok(Err(left)),
        };
        Ok(Ok(whole))
    }

    fn between(&mut self, value: Operand, not: bool) -> Result<Operand, SqlError> {
        let operator = self.operator("BETWEEN")?;
        let low = self.signed()?;
        self.expect(Token::And, "AND")?;
        let high = self.signed()?;
        for operand in [&value, &low, &high] {
            operator.check_ordered(operand)?;
        }
        // Signed limits are no constants to Apache, so it does not look at them.
        if !not
            && low.kind == Kind::Constant
            && high.kind == Kind::Constant
            && let (Node::Literal(low), Node::Literal(high)) = (&low.node, &high.node)
            && order(low.value(), high.value()).is_ok_and(std::cmp::Ordering::is_gt)
        {
            return Err(SqlError::Range { at: operator.at });
        }
        let depth = value.depth.max(low.depth).max(high.depth);
        let between = Between {
            value: value.node,
            low: low.node,
            high: high.node,
            not,
        };
        self.compound(depth, Node::Between(Box::new(between)))
    }

    fn listed(&mut self, left: &Operand, not: bool) -> Result<Operand, SqlError> {
        let operator = self.operator("IN")?;
        self.expect(Token::Open, "a list in parentheses")?;
        let mut texts = vec![self.text()?];
        while self.token == Token::Comma {
            self.advance()?;
            texts.push(self.text()?);
        }
        self.expect(Token::Close, "a comma or a closing parenthesis")?;
        let Node::Property(slot) = left.node else {
            return Err(operator.cannot_take("anything but a property"));
        };
        texts.sort_unstable();
        texts.dedup();
        Ok(Operand::new(Kind::Condition, Node::In { slot, texts, not }))
    }

    fn search(&mut self, left: Operand, place: Place, not: bool) -> Result<Operand, SqlError> {
        self.advance()?;
        let wanted = self.text()?;
        let depth = left.depth;
        let search = Search {
            operand: left.node,
            place,
            wanted,
            not,
        };
        self.compound(depth, Node::Search(Box::new(search)))
    }

    fn text(&mut self) -> Result<Box<str>, SqlError> {
        let Token::Text(text) = self.token else {
            return Err(self.expected("a text in quotes"));
        };
        self.advance()?;
        Ok(text.replace("''", "'").into())
    }

    /// An operand with its signs and NOTs. Every recursion of the parser comes through here.
    fn signed(&mut self) -> Result<Operand, SqlError> {
        self.nesting = self.nesting.saturating_add(1);
        if self.nesting > DEPTH_MAX {
            return Err(SqlError::TooDeep { at: self.at });
        }
        let operand = match self.token {
            Token::Plus => {
                self.advance()?;
                self.signed()
            }
            Token::Minus => {
                self.advance()?;
                let operand = self.signed()?;
                self.deeper(minus(operand))
            }
            Token::Not => {
                self.advance()?;
                let operand = self.signed()?;
                let condition = self.condition(operand)?;
                self.deeper(negation(condition))
            }
            _ => self.primary(),
        };
        self.nesting = self.nesting.saturating_sub(1);
        operand
    }

    fn primary(&mut self) -> Result<Operand, SqlError> {
        let literal = match self.token {
            Token::Open => {
                self.advance()?;
                let inside = self.disjunction()?;
                self.expect(Token::Close, "an operator or a closing parenthesis")?;
                return Ok(inside);
            }
            Token::Name(name) => {
                let next = self.slots.len();
                let slot = *self.slots.entry(name).or_insert(next);
                self.advance()?;
                return Ok(Operand::new(Kind::Property, Node::Property(slot)));
            }
            Token::Text(_) => {
                let text = self.text()?;
                return Ok(constant(Literal::Text(text)));
            }
            Token::Integer(digits) => self.integer(digits)?,
            Token::Decimal(digits) => self.decimal(digits)?,
            Token::True => Literal::Bool(true),
            Token::False => Literal::Bool(false),
            Token::Null => Literal::Null,
            _ => return Err(self.expected("a property, a value or an opening parenthesis")),
        };
        self.advance()?;
        Ok(constant(literal))
    }

    fn integer(&self, digits: &str) -> Result<Literal, SqlError> {
        let long: i64 = digits
            .parse()
            .map_err(|_| SqlError::Number { at: self.at })?;
        Ok(i32::try_from(long).map_or(Literal::Long(long), Literal::Int))
    }

    /// Zero counts as too small, because Apache compares with the smallest double above zero.
    fn decimal(&self, digits: &str) -> Result<Literal, SqlError> {
        match digits.parse::<f64>() {
            Ok(number) if number > 0.0 && number.is_finite() => Ok(Literal::Double(number)),
            _ => Err(SqlError::Number { at: self.at }),
        }
    }
}

fn constant(literal: Literal) -> Operand {
    Operand::new(Kind::Constant, Node::Literal(literal))
}

fn negation(operand: Operand) -> Operand {
    Operand {
        node: Node::Not(Box::new(operand.node)),
        kind: Kind::Condition,
        ..operand
    }
}

/// A number changes its sign; nothing else has one.
fn minus(operand: Operand) -> Operand {
    let node = match operand.node {
        Node::Literal(Literal::Int(number)) => Node::Literal(Literal::Int(number.wrapping_neg())),
        Node::Literal(Literal::Long(number)) => Node::Literal(Literal::Long(number.wrapping_neg())),
        Node::Literal(Literal::Double(number)) => Node::Literal(Literal::Double(-number)),
        other => Node::Negated(Box::new(other)),
    };
    Operand {
        node,
        kind: Kind::Signed,
        depth: operand.depth,
    }
}
