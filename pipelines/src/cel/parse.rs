//! From text to syntax tree, by the `cel` crate's parser; its errors in our words.

use std::ops::Range;

use afferent_core::Problem;
use cel::{
    Env, IdedExpr, ParseError,
    common::ast::{Expr as Node, LiteralValue, SourceInfo},
};

use super::scan;

/// The syntax tree of an expression, with the places of its nodes.
pub(super) struct Tree<'s> {
    source: &'s str,
    info: SourceInfo,
    pub(super) root: IdedExpr,
}

/// Longest piece of an expression that a message repeats.
const MAX_QUOTED_CHARS: usize = 40;

/// Parses `source`. `has`, `all`, `map` and their like stay calls.
pub(super) fn parse(source: &str) -> Result<Tree<'_>, Problem> {
    scan::check(source)?;
    let parser =
        Env::default().parser().enable_optional_syntax(false).max_recursion_depth(scan::MAX_DEPTH as u16);
    match parser.parse_with_source_info(source) {
        Ok((root, info)) => Ok(Tree { source, info, root }),
        // What follows the first error is mostly a consequence of it.
        Err(errors) => Err(errors
            .errors
            .first()
            .map_or_else(|| Problem::new("", "this is no expression"), |error| translate(source, error))),
    }
}

impl Tree<'_> {
    /// Where `node` stands, with all that belongs to it.
    pub(super) fn span(&self, node: &IdedExpr) -> Range<usize> {
        let span = self.tokens(node).unwrap_or(0..self.source.len());
        scan::balance(self.source, span)
    }

    /// The text of `node`, in back quotes and shortened.
    pub(super) fn quote(&self, node: &IdedExpr) -> String {
        let text = &self.source[self.span(node)];
        match text.char_indices().nth(MAX_QUOTED_CHARS) {
            Some((end, _)) => format!("`{}…`", &text[..end]),
            None => format!("`{text}`"),
        }
    }

    /// The least range that holds the tokens of `node` and of what is below it.
    fn tokens(&self, node: &IdedExpr) -> Option<Range<usize>> {
        let own = self.token(node.id).map(|Range { start, end }| match &node.expr {
            // The place of a call is its bracket, of a selection its dot, of a negative number its digits.
            Node::Call(call) if call.target.is_none() => {
                let before = self.source[..start].trim_end();
                let named = before.ends_with(call.func_name.as_str());
                (if named { before.len() - call.func_name.len() } else { start })..end
            }
            Node::Select(select) => {
                let rest = &self.source[end..];
                let gap = rest.len() - rest.trim_start().len();
                let named = rest.trim_start().starts_with(select.field.as_str());
                start..(if named { end + gap + select.field.len() } else { end })
            }
            Node::Literal(LiteralValue::Int(_) | LiteralValue::Double(_)) => {
                let before = self.source[..start].trim_end();
                let number = &self.source[start..end];
                let negative = match &node.expr {
                    Node::Literal(LiteralValue::Int(value)) => *value.inner() < 0,
                    Node::Literal(LiteralValue::Double(value)) => value.inner().is_sign_negative(),
                    _ => false,
                };
                let signed = negative && !number.starts_with('-') && before.ends_with('-');
                (if signed { before.len() - 1 } else { start })..end
            }
            _ => start..end,
        });
        let children: Vec<&IdedExpr> = match &node.expr {
            Node::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
            Node::Select(select) => vec![&*select.operand],
            Node::List(list) => list.elements.iter().collect(),
            _ => Vec::new(),
        };
        children
            .into_iter()
            .filter_map(|child| self.tokens(child))
            .chain(own)
            .reduce(|a, b| a.start.min(b.start)..a.end.max(b.end))
    }

    /// The range of the token that `id` was given for.
    fn token(&self, id: u64) -> Option<Range<usize>> {
        let (start, last) = self.info.offset_for(id)?;
        let (start, last) = (start as usize, last as usize);
        // The parser gives the offset of the last character, not of its end.
        let end = last + self.source.get(last..)?.chars().next()?.len_utf8();
        self.source.get(start..end).map(|_| start..end)
    }
}

/// A syntax error, said as people would.
fn translate(source: &str, error: &ParseError) -> Problem {
    let at = offset(source, error.pos);
    let rest = &source[at..];
    if source.trim().is_empty() {
        return Problem::new("", "the expression is empty").help("write a condition such as `value > 30.0`");
    }
    if rest.trim().is_empty() {
        let end = source.trim_end().len();
        let start = source[..end].char_indices().next_back().map_or(0, |(start, _)| start);
        return Problem::new("", "the expression ends where more was expected").span(start..end);
    }
    let found = token(rest);
    let span = at..at + found.len();
    if error.msg.starts_with("reserved identifier") {
        return Problem::new("", format!("`{found}` is a reserved word of CEL")).span(span);
    }
    if error.msg.starts_with("invalid int literal") || error.msg.starts_with("invalid double literal") {
        return Problem::new("", format!("the number `{found}` is too large")).span(span);
    }
    if error.msg.starts_with("invalid uint literal") {
        return Problem::new("", format!("the number `{found}` is too large")).span(span);
    }
    let instead = match found {
        "=" => Some("=="),
        "&" | "and" | "AND" => Some("&&"),
        "|" | "or" | "OR" => Some("||"),
        "not" | "NOT" => Some("!"),
        ">" if source[..at].ends_with('<') => Some("!="),
        "===" => Some("=="),
        _ => None,
    };
    let help = match instead {
        Some(instead) => format!("did you mean `{instead}`?"),
        None if error.msg.contains("expecting <EOF>") || error.msg.contains("expecting {<EOF>") => {
            "expected an operator such as `&&` or `==` before it, or the end".to_owned()
        }
        None => "expected a field, a number, or a text in quotes".to_owned(),
    };
    Problem::new("", format!("unexpected `{found}`")).help(help).span(span)
}

/// The byte offset of the parser's (line, column), which count characters from 1.
fn offset(source: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    source[start..].char_indices().nth(column).map_or(source.len(), |(offset, _)| start + offset)
}

/// The word, number or sign that `rest` begins with.
fn token(rest: &str) -> &str {
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
    if word > 0 && !rest.starts_with('.') {
        return &rest[..word];
    }
    let first = rest.chars().next().map_or(0, char::len_utf8);
    let same = rest.chars().take_while(|c| rest.starts_with(*c)).map(char::len_utf8).sum::<usize>();
    if rest.starts_with('=') { &rest[..same.max(first)] } else { &rest[..first] }
}
