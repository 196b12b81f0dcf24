//! Tokens → tree, by recursive descent: OR below AND below NOT below comparisons.

use dbal_shared::predicate::Comparison;

use super::token::{Keyword, Token, TokenKind, tokens};
use super::{Expression, LENGTH, Mistake, NESTING, Name, Operand, OperandKind, Select};

/// Parses a whole expression.
pub(crate) fn parse(text: &str) -> Result<Expression, Mistake> {
    if text.len() > LENGTH {
        return Err(Mistake::new(0, format!("longer than {LENGTH} bytes")));
    }
    let tokens = tokens(text)?;
    let mut parser = Parser {
        tokens: &tokens,
        nesting: 0,
        is_in_select: false,
    };
    let expression = parser.any()?;
    match parser.kind() {
        TokenKind::End => Ok(expression),
        TokenKind::Symbol(")") => Err(parser.mistake("this parenthesis closes nothing")),
        TokenKind::Word(_)
        | TokenKind::Keyword(_)
        | TokenKind::Claim(_)
        | TokenKind::Text(_)
        | TokenKind::Int(_)
        | TokenKind::Symbol(_) => Err(parser.mistake("AND, OR or the end should stand here")),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    nesting: usize,
    is_in_select: bool,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, Mistake> {
        let first = self.all()?;
        let mut any = vec![first];
        while self.takes_keyword(Keyword::Or) {
            any.push(self.all()?);
        }
        Ok(one_or(any, Expression::Any))
    }

    fn all(&mut self) -> Result<Expression, Mistake> {
        let first = self.not()?;
        let mut all = vec![first];
        while self.takes_keyword(Keyword::And) {
            all.push(self.not()?);
        }
        Ok(one_or(all, Expression::All))
    }

    fn not(&mut self) -> Result<Expression, Mistake> {
        if self.takes_keyword(Keyword::Not) {
            let inner = self.nested(Self::not)?;
            return Ok(Expression::Not(Box::new(inner)));
        }
        if self.takes_symbol("(") {
            let inner = self.nested(Self::any)?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression, Mistake> {
        let left = self.operand()?;
        if self.takes_keyword(Keyword::Is) {
            let is_negated = self.takes_keyword(Keyword::Not);
            self.expect_keyword(Keyword::Null, "NULL should stand here")?;
            return Ok(negated(Expression::IsNull(left), is_negated));
        }
        let is_negated = self.takes_keyword(Keyword::Not);
        if self.takes_keyword(Keyword::In) {
            let inside = self.inside(left)?;
            return Ok(negated(inside, is_negated));
        }
        if is_negated {
            return Err(self.mistake("IN should stand here"));
        }
        let Some(op) = self.operator() else {
            return match left.kind {
                OperandKind::Bool(value) => Ok(Expression::Constant(value)),
                OperandKind::Field(_)
                | OperandKind::Related { .. }
                | OperandKind::Caller(_)
                | OperandKind::Text(_)
                | OperandKind::Int(_)
                | OperandKind::Null => {
                    Err(self.mistake("a comparison should stand here: = <> < <= > >= IN, IS NULL"))
                }
            };
        };
        let right = self.operand()?;
        Ok(Expression::Compare { left, op, right })
    }

    /// What follows IN: `(a, b)`, `(SELECT …)`, or a claim that is a list.
    fn inside(&mut self, left: Operand) -> Result<Expression, Mistake> {
        if matches!(self.kind(), TokenKind::Claim(_)) {
            return Ok(Expression::In {
                left,
                list: vec![self.operand()?],
            });
        }
        self.expect_symbol("(")?;
        if self.takes_keyword(Keyword::Select) {
            let select = self.select()?;
            self.expect_symbol(")")?;
            return Ok(Expression::InSelect { left, select });
        }
        let mut list = vec![self.operand()?];
        while self.takes_symbol(",") {
            list.push(self.operand()?);
        }
        self.expect_symbol(")")?;
        Ok(Expression::In { left, list })
    }

    fn select(&mut self) -> Result<Select, Mistake> {
        if self.is_in_select {
            return Err(self.mistake("a SELECT can't stand within another"));
        }
        let column = self.name()?;
        self.expect_keyword(Keyword::From, "FROM should stand here")?;
        let entity = self.name()?;
        let filter = if self.takes_keyword(Keyword::Where) {
            self.is_in_select = true;
            let filter = self.nested(Self::any)?;
            self.is_in_select = false;
            Some(Box::new(filter))
        } else {
            None
        };
        Ok(Select {
            column,
            entity,
            filter,
        })
    }

    fn operand(&mut self) -> Result<Operand, Mistake> {
        let at = self.at();
        let kind = match self.kind() {
            TokenKind::Word(word) => {
                self.advance();
                if self.takes_symbol(".") {
                    OperandKind::Related {
                        relation: word,
                        field: self.name()?.text,
                    }
                } else {
                    OperandKind::Field(word)
                }
            }
            TokenKind::Claim(claim) => self.taken(OperandKind::Caller(claim)),
            TokenKind::Text(text) => self.taken(OperandKind::Text(text)),
            TokenKind::Int(value) => self.taken(OperandKind::Int(value)),
            TokenKind::Keyword(Keyword::True) => self.taken(OperandKind::Bool(true)),
            TokenKind::Keyword(Keyword::False) => self.taken(OperandKind::Bool(false)),
            TokenKind::Keyword(Keyword::Null) => self.taken(OperandKind::Null),
            TokenKind::Keyword(_) | TokenKind::Symbol(_) | TokenKind::End => {
                return Err(self.mistake("a field, a value or $user.<claim> should stand here"));
            }
        };
        Ok(Operand { at, kind })
    }

    fn name(&mut self) -> Result<Name, Mistake> {
        let at = self.at();
        if let TokenKind::Word(text) = self.kind() {
            self.advance();
            Ok(Name { at, text })
        } else {
            Err(self.mistake("a name should stand here"))
        }
    }

    fn operator(&mut self) -> Option<Comparison> {
        let TokenKind::Symbol(symbol) = self.kind() else {
            return None;
        };
        let op = match symbol {
            "=" => Comparison::Eq,
            "<>" | "!=" => Comparison::Ne,
            "<" => Comparison::Lt,
            "<=" => Comparison::Lte,
            ">" => Comparison::Gt,
            ">=" => Comparison::Gte,
            _ => return None,
        };
        self.advance();
        Some(op)
    }

    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Expression, Mistake>,
    ) -> Result<Expression, Mistake> {
        self.nesting = self.nesting.saturating_add(1);
        if self.nesting > NESTING {
            return Err(self.mistake(format!("nested deeper than {NESTING} levels")));
        }
        let expression = inner(self)?;
        self.nesting = self.nesting.saturating_sub(1);
        Ok(expression)
    }

    fn taken(&mut self, kind: OperandKind) -> OperandKind {
        self.advance();
        kind
    }

    fn takes_keyword(&mut self, keyword: Keyword) -> bool {
        self.takes(&TokenKind::Keyword(keyword))
    }

    fn takes_symbol(&mut self, symbol: &'static str) -> bool {
        self.takes(&TokenKind::Symbol(symbol))
    }

    fn takes(&mut self, kind: &TokenKind) -> bool {
        let is_next = self.tokens.first().is_some_and(|token| token.kind == *kind);
        if is_next {
            self.advance();
        }
        is_next
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), Mistake> {
        if self.takes_symbol(symbol) {
            Ok(())
        } else {
            Err(self.mistake(format!("`{symbol}` should stand here")))
        }
    }

    fn expect_keyword(&mut self, keyword: Keyword, text: &str) -> Result<(), Mistake> {
        if self.takes_keyword(keyword) {
            Ok(())
        } else {
            Err(self.mistake(text))
        }
    }

    /// The next token. Nothing takes the last one, [`TokenKind::End`], so there is always one.
    fn kind(&self) -> TokenKind {
        self.tokens
            .first()
            .map_or(TokenKind::End, |token| token.kind.clone())
    }

    fn at(&self) -> usize {
        self.tokens.first().map_or(0, |token| token.at)
    }

    fn advance(&mut self) {
        if let [_, rest @ ..] = self.tokens {
            self.tokens = rest;
        }
    }

    fn mistake(&self, text: impl Into<String>) -> Mistake {
        Mistake::new(self.at(), text)
    }
}

fn negated(expression: Expression, is_negated: bool) -> Expression {
    if is_negated {
        Expression::Not(Box::new(expression))
    } else {
        expression
    }
}

fn one_or(mut several: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    match (several.pop(), several.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            several.extend(last);
            join(several)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::Strategy as _;

    use super::*;
    use crate::expression::Claim;

    fn field(at: usize, name: &str) -> Operand {
        Operand {
            at,
            kind: OperandKind::Field(name.to_owned()),
        }
    }

    fn int(at: usize, value: i64) -> Operand {
        Operand {
            at,
            kind: OperandKind::Int(value),
        }
    }

    fn equal(left: Operand, right: Operand) -> Expression {
        Expression::Compare {
            left,
            op: Comparison::Eq,
            right,
        }
    }

    #[test]
    fn not_binds_tighter_than_and_and_and_tighter_than_or() {
        let parsed = parse("a=1 OR NOT b=2 AND c=3").unwrap();
        let expected = Expression::Any(vec![
            equal(field(0, "a"), int(2, 1)),
            Expression::All(vec![
                Expression::Not(Box::new(equal(field(11, "b"), int(13, 2)))),
                equal(field(19, "c"), int(21, 3)),
            ]),
        ]);
        assert_eq!(parsed, expected);
        assert_ne!(
            parse("(a=1 OR b=2) AND c=3").unwrap(),
            parse("a=1 OR b=2 AND c=3").unwrap()
        );
    }

    #[test]
    fn each_form_has_a_tree() {
        for text in [
            "a IS NULL",
            "a IS NOT NULL",
            "a IN (1, 'x', $user.id)",
            "a NOT IN (1)",
            "'admin' IN $user.roles",
            "a in (select b from C where d = $user.id and e is null)",
            "a IN (SELECT b FROM C)",
            "thread.ownerId = $user.id",
            "$user.level >= 3",
            "true",
            "((a <> 1))",
        ] {
            assert!(parse(text).is_ok(), "{text}: {:?}", parse(text));
        }
        let claim = parse("$context.tenantId = tenantId").unwrap();
        let Expression::Compare { left, .. } = claim else {
            panic!()
        };
        assert_eq!(left.kind, OperandKind::Caller(Claim::Tenant));
    }

    #[test]
    fn mistakes_are_shown_where_they_stand() {
        for (text, at, part) in [
            ("", 0, "a field"),
            ("a", 1, "a comparison"),
            ("a =", 3, "a field"),
            ("a = 1 b = 2", 6, "AND, OR"),
            ("(a = 1", 6, "`)`"),
            ("a = 1)", 5, "closes nothing"),
            ("a NOT = 1", 6, "IN should"),
            ("a IS 1", 5, "NULL should"),
            ("a IN ()", 6, "a field"),
            ("a IN 1", 5, "`(`"),
            ("a IN (SELECT b)", 14, "FROM"),
            (
                "a IN (SELECT b FROM C WHERE d IN (SELECT e FROM F))",
                41,
                "within another",
            ),
            ("thread. = 1", 8, "a name"),
            ("a LIKE 'x%'", 2, "a comparison"),
        ] {
            let mistake = parse(text).unwrap_err();
            assert_eq!(mistake.at, at, "{text}: {}", mistake.text);
            assert!(mistake.text.contains(part), "{text}: {}", mistake.text);
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = |depth: usize| format!("{}a = 1{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&nested(NESTING)).is_ok());
        assert!(
            parse(&nested(NESTING + 1))
                .unwrap_err()
                .text
                .contains("nested deeper")
        );
        assert!(
            parse(&format!("{} a = 1", "NOT ".repeat(NESTING + 1)))
                .unwrap_err()
                .text
                .contains("nested deeper")
        );
        assert!(
            parse(&" ".repeat(LENGTH + 1))
                .unwrap_err()
                .text
                .contains("longer")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_at_a_place_within_it(
            words in proptest::collection::vec(
                proptest::prop_oneof![
                    proptest::sample::select(vec![
                        "a", "AND", "OR", "NOT", "IN", "IS", "NULL", "(", ")", ",", ".", "=", "<", "SELECT", "FROM",
                        "WHERE", "'x'", "1", "$user.id", "true",
                    ]).prop_map(str::to_owned),
                    "\\PC{0,3}",
                ],
                0..20,
            ),
        ) {
            let text = words.join(" ");
            if let Err(mistake) = parse(&text) {
                proptest::prop_assert!(text.is_char_boundary(mistake.at), "{mistake:?}");
            }
        }
    }
}
