//! Tokens → models and enums as the file has them, names not looked up yet. Brackets are counted, never descended into, so
//! no nesting of the file's becomes one of ours.

use std::collections::HashSet;

use dbal_schema::is_name;

use super::token::{Kind, Place, Token};
use super::told::Told;

/// Most models of one file, and most fields of one model: what dbal serves. So lists may be searched from end to end.
const MODELS: usize = 1_024;
const FIELDS: usize = 512;
/// Prisma allows `-` too.
const NO_NAME: &str = "dbal has names of letters, digits and `_`, of 63 at most; give it one, and say the database's with `@map`";

/// What a file declares.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) models: Vec<Model>,
    pub(super) enums: Vec<Enumeration>,
    /// Theirs, however many there are.
    enum_names: HashSet<String>,
    /// `provider` of the datasource.
    pub(super) provider: Option<(Place, String)>,
}

/// A `model` or a `view`.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) is_view: bool,
    pub(super) doc: Option<String>,
    pub(super) fields: Vec<Field>,
    /// Those with two `@`.
    pub(super) attributes: Vec<Attribute>,
}

/// One line of a model.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) at: Place,
    pub(super) name: String,
    /// `Unsupported` is one too.
    pub(super) kind: String,
    pub(super) arity: Arity,
    pub(super) doc: Option<String>,
    pub(super) attributes: Vec<Attribute>,
}

/// How many values a field has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arity {
    /// `String`
    One,
    /// `String?`
    Optional,
    /// `String[]`
    Many,
}

/// `@name(arguments)`
#[derive(Debug)]
pub(super) struct Attribute {
    pub(super) at: Place,
    /// `db.VarChar` with its point.
    pub(super) name: String,
    /// What stands between the brackets.
    pub(super) arguments: Vec<Token>,
}

/// An `enum`.
#[derive(Debug)]
pub(super) struct Enumeration {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) values: Vec<EnumValue>,
}

/// One value of an enum.
#[derive(Debug)]
pub(super) struct EnumValue {
    pub(super) at: Place,
    pub(super) name: String,
    pub(super) attributes: Vec<Attribute>,
}

/// `name: value` or a value alone.
#[derive(Debug)]
pub(super) struct Argument<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) value: &'a [Token],
}

impl Attribute {
    /// Its arguments.
    pub(super) fn arguments(&self) -> Vec<Argument<'_>> {
        let parts = parts(&self.arguments);
        parts
            .into_iter()
            .map(|part| match part {
                [name, colon, value @ ..] if colon.is(':') => Argument {
                    name: name.word(),
                    value,
                },
                value => Argument { name: None, value },
            })
            .collect()
    }

    /// The argument with this name.
    pub(super) fn named(&self, name: &str) -> Option<&[Token]> {
        let found = self.arguments().into_iter().find(|one| one.name == Some(name));
        found.map(|one| one.value)
    }

    /// The argument with this name, or else the first without any.
    pub(super) fn first(&self, name: &str) -> Option<&[Token]> {
        let unnamed = || self.arguments().into_iter().find(|one| one.name.is_none());
        self.named(name).or_else(|| unnamed().map(|one| one.value))
    }

    /// The text of the argument with this name, or else of the first without any.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.first(name)? {
            [only] => only.text(),
            _ => None,
        }
    }
}

/// The items of `[a, b]`; of anything else, itself.
pub(super) fn items(value: &[Token]) -> Vec<&[Token]> {
    match value {
        [open, inner @ .., close] if open.is('[') && close.is(']') => parts(inner),
        _ => vec![value],
    }
}

/// What stands between the commas that are in no bracket.
fn parts(tokens: &[Token]) -> Vec<&[Token]> {
    let mut depth: usize = 0;
    let parts = tokens.split(|token| {
        match token.kind {
            Kind::Sign('(' | '[') => depth = depth.saturating_add(1),
            Kind::Sign(')' | ']') => depth = depth.saturating_sub(1),
            Kind::Sign(',') => return depth == 0,
            Kind::Word(_)
            | Kind::Text(_)
            | Kind::Number(_)
            | Kind::Sign(_)
            | Kind::Doc(_)
            | Kind::NewLine => {}
        }
        false
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// Everything that the tokens declare. What can't be read is told, and the rest of its line or block is passed over.
pub(super) fn parse(tokens: &[Token], told: &mut Told) -> Document {
    let mut parser = Parser { rest: tokens, told };
    let mut document = Document::default();
    let mut doc = None;
    while let Some(token) = parser.next() {
        match &token.kind {
            Kind::NewLine => {}
            Kind::Doc(text) => add_line(&mut doc, text),
            Kind::Word(keyword) => {
                parser.block(token.at, keyword, doc.take(), &mut document);
            }
            Kind::Text(_) | Kind::Number(_) | Kind::Sign(_) => {
                parser
                    .told
                    .problem(token.at, "here should begin a `model` or an `enum`");
                parser.skip_line();
            }
        }
    }
    document
}

fn add_line(doc: &mut Option<String>, line: &str) {
    let doc = doc.get_or_insert_default();
    if !doc.is_empty() {
        doc.push(' ');
    }
    doc.push_str(line);
}

struct Parser<'a, 'r> {
    rest: &'a [Token],
    told: &'r mut Told,
}

impl<'a> Parser<'a, '_> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn next_if(&mut self, sign: char) -> bool {
        let is_next = self.rest.first().is_some_and(|token| token.is(sign));
        if is_next {
            self.next();
        }
        is_next
    }

    fn skip_line(&mut self) {
        while let Some(token) = self.rest.first() {
            if token.kind == Kind::NewLine || token.is('}') {
                return;
            }
            self.next();
        }
    }

    /// What stands before the bracket that closes the one before, which is eaten too; brackets of this kind inside are
    /// passed over.
    fn enclosed(&mut self, at: Place, open: char, close: char) -> &'a [Token] {
        let all = self.rest;
        let mut depth: usize = 1;
        let mut length: usize = 0;
        while let Some(token) = self.next() {
            if token.is(open) {
                depth = depth.saturating_add(1);
            } else if token.is(close) {
                depth = depth.saturating_sub(1);
            }
            if depth == 0 {
                return all.get(..length).unwrap_or_default();
            }
            length = length.saturating_add(1);
        }
        self.told.problem(
            at,
            format!("the `{open}` after this is never closed by `{close}`"),
        );
        all
    }

    fn block(&mut self, at: Place, keyword: &str, doc: Option<String>, document: &mut Document) {
        let name = match self.rest {
            [name, open, rest @ ..] if open.is('{') => name.word().map(|name| (name.to_owned(), rest)),
            _ => None,
        };
        let Some((name, rest)) = name else {
            self.told
                .problem(at, format!("after `{keyword}` should come a name and `{{`"));
            return self.skip_line();
        };
        self.rest = rest;
        let body = self.enclosed(at, '{', '}');
        let mut inside = Parser {
            rest: body,
            told: self.told,
        };
        match keyword {
            "model" | "view" => {
                let mut model = Model {
                    at,
                    name,
                    is_view: keyword == "view",
                    doc,
                    fields: Vec::new(),
                    attributes: Vec::new(),
                };
                inside.model(&mut model);
                if !is_name(&model.name) {
                    self.told.problem(at, format!("`{}`: {NO_NAME}", model.name));
                } else if document.models.iter().any(|other| other.name == model.name) {
                    self.told
                        .problem(at, format!("`{}` is declared twice", model.name));
                } else if document.models.len() < MODELS {
                    document.models.push(model);
                } else {
                    self.told
                        .problem(at, format!("there are more than {MODELS} models"));
                }
            }
            "enum" => {
                let values = inside.values();
                if document.enum_names.insert(name.clone()) {
                    document.enums.push(Enumeration { at, name, values });
                } else {
                    self.told.problem(at, format!("`{name}` is declared twice"));
                }
            }
            "datasource" => document.provider = provider(body),
            "generator" => {}
            "type" => inside.told.problem(
                at,
                format!(
                    "`type {name}` lives inside documents, which no database of dbal's has; make it a model"
                ),
            ),
            _ => inside.told.problem(
                at,
                format!("`{keyword}` is nothing that a Prisma schema declares"),
            ),
        }
    }

    fn model(&mut self, model: &mut Model) {
        let mut doc = None;
        while let Some(token) = self.next() {
            match &token.kind {
                Kind::NewLine => {}
                Kind::Doc(text) => add_line(&mut doc, text),
                Kind::Sign('@') if self.next_if('@') => {
                    model.attributes.extend(self.attribute(token.at));
                }
                Kind::Word(name) => {
                    let field = self.field(token.at, name, doc.take());
                    if !is_name(name) {
                        self.told
                            .problem(token.at, format!("`{}.{name}`: {NO_NAME}", model.name));
                    } else if model.fields.iter().any(|other| other.name == *name) {
                        self.told
                            .problem(token.at, format!("`{}` has two fields `{name}`", model.name));
                    } else if model.fields.len() < FIELDS {
                        model.fields.extend(field);
                    } else {
                        self.told
                            .problem(token.at, format!("a model has at most {FIELDS} fields"));
                    }
                }
                Kind::Text(_) | Kind::Number(_) | Kind::Sign(_) => {
                    self.told
                        .problem(token.at, "here should begin a field or a `@@` attribute");
                    self.skip_line();
                }
            }
        }
    }

    fn field(&mut self, at: Place, name: &str, doc: Option<String>) -> Option<Field> {
        let kind = self.rest.first().and_then(Token::word);
        let Some(kind) = kind else {
            self.told
                .problem(at, format!("after `{name}` should come its type"));
            self.skip_line();
            return None;
        };
        self.next();
        if self.next_if('(') {
            self.enclosed(at, '(', ')');
        }
        let arity = if self.next_if('?') {
            Arity::Optional
        } else if self.next_if('[') {
            self.enclosed(at, '[', ']');
            Arity::Many
        } else {
            Arity::One
        };
        Some(Field {
            at,
            name: name.to_owned(),
            kind: kind.to_owned(),
            arity,
            doc,
            attributes: self.attributes(),
        })
    }

    fn values(&mut self) -> Vec<EnumValue> {
        let mut values = Vec::new();
        // A file may have more of them than a list can be searched for.
        let mut names = HashSet::new();
        while let Some(token) = self.next() {
            match &token.kind {
                Kind::NewLine | Kind::Doc(_) => {}
                // Of the whole enum there is only its name in the database to be said.
                Kind::Sign('@') if self.next_if('@') => {
                    self.attribute(token.at);
                }
                Kind::Word(name) => {
                    let value = EnumValue {
                        at: token.at,
                        name: name.clone(),
                        attributes: self.attributes(),
                    };
                    if names.insert(name) {
                        values.push(value);
                    } else {
                        self.told
                            .problem(token.at, format!("the value `{name}` stands there twice"));
                    }
                }
                Kind::Text(_) | Kind::Number(_) | Kind::Sign(_) => {
                    self.told
                        .problem(token.at, "here should stand a value of the enum");
                    self.skip_line();
                }
            }
        }
        values
    }

    /// Those that follow on the same line.
    fn attributes(&mut self) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        while let Some(token) = self.rest.first() {
            if token.is('@') {
                self.next();
                attributes.extend(self.attribute(token.at));
            } else if matches!(token.kind, Kind::NewLine | Kind::Doc(_)) {
                break;
            } else {
                self.told
                    .problem(token.at, "here should stand an attribute, or the end of the line");
                self.skip_line();
                break;
            }
        }
        attributes
    }

    /// What follows the `@`.
    fn attribute(&mut self, at: Place) -> Option<Attribute> {
        let mut name = String::new();
        loop {
            let Some(word) = self.rest.first().and_then(Token::word) else {
                self.told.problem(at, "after `@` should come a name");
                self.skip_line();
                return None;
            };
            name.push_str(word);
            self.next();
            if !self.next_if('.') {
                break;
            }
            name.push('.');
        }
        let arguments = if self.next_if('(') {
            self.enclosed(at, '(', ')')
        } else {
            &[]
        };
        let is_layout = |token: &&Token| matches!(token.kind, Kind::NewLine | Kind::Doc(_));
        Some(Attribute {
            at,
            name,
            arguments: arguments
                .iter()
                .filter(|token| !is_layout(token))
                .cloned()
                .collect(),
        })
    }
}

/// `provider = "postgresql"`
fn provider(body: &[Token]) -> Option<(Place, String)> {
    body.windows(3).find_map(|window| match window {
        [key, equals, value] if key.word() == Some("provider") && equals.is('=') => {
            Some((value.at, value.text()?.to_owned()))
        }
        _ => None,
    })
}
