//! Rewriting a vector file so that its cases expect what was found.
//!
//! The layout is the one the files have: a case's members a line each, its
//! events and findings a line each, everything within on that line.

use serde_json::{Map, Value};

/// The file's text with other findings in some of its cases; `None` when the
/// text holds no such case.
#[must_use]
pub fn rewrite(text: &str, findings: &[(usize, Vec<Value>)]) -> Option<String> {
    let file: Value = serde_json::from_str(text).ok()?;
    let (mut cases, is_list) = match file {
        Value::Array(cases) => (cases, true),
        case => (vec![case], false),
    };
    for (index, findings) in findings {
        let case = cases.get_mut(*index)?.as_object_mut()?;
        case.insert("findings".to_owned(), findings.clone().into());
    }
    let mut out = String::new();
    if is_list {
        out.push_str("[\n");
    }
    for (number, case) in cases.iter().enumerate() {
        if number > 0 {
            out.push_str(",\n");
        }
        write_case(&mut out, case.as_object()?, if is_list { "  " } else { "" });
    }
    out.push_str(if is_list { "\n]\n" } else { "\n" });
    Some(out)
}

fn write_case(out: &mut String, case: &Map<String, Value>, indent: &str) {
    out.push_str(indent);
    out.push('{');
    for (number, (name, value)) in case.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        *out += &format!("{comma}\n{indent}  {}: ", text(name));
        match value.as_array().filter(|list| !list.is_empty()) {
            Some(list) => {
                for (number, item) in list.iter().enumerate() {
                    let start = if number > 0 { "," } else { "[" };
                    *out += &format!("{start}\n{indent}    {}", inline(item));
                }
                *out += &format!("\n{indent}  ]");
            }
            None => out.push_str(&inline(value)),
        }
    }
    *out += &format!("\n{indent}}}");
}

fn text(text: &str) -> String {
    Value::from(text).to_string()
}

/// On one line, with a blank after each comma and colon.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}: {}", text(name), inline(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_findings_of_the_case_change() {
        let before = "[\n  {\n    \"name\": \"a\",\n    \"events\": [\n      {\"minutes\": 0, \"at\": [1.5, 2]}\n    ]\n  },\n  {\n    \"name\": \"b\",\n    \"events\": [\n      {\"minutes\": 1}\n    ],\n    \"findings\": [\n      {\"kind\": \"x\", \"event\": 0}\n    ]\n  }\n]\n";
        assert_eq!(rewrite(before, &[]).as_deref(), Some(before));
        let after = rewrite(before, &[(1, vec![json!({"kind": "y", "event": 0})])]).unwrap();
        assert_eq!(after, before.replace("\"x\"", "\"y\""));
        assert_eq!(rewrite(before, &[(2, Vec::new())]), None);
    }

    #[test]
    fn the_shipped_files_keep_their_meaning() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules");
        for rule in ["impossible-travel", "failed-logins"] {
            for file in std::fs::read_dir(folder.join(rule).join("tests")).unwrap() {
                let before = std::fs::read_to_string(file.unwrap().path()).unwrap();
                let after = rewrite(&before, &[]).unwrap();
                let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(read(&after), read(&before));
                assert_eq!(rewrite(&after, &[]).unwrap(), after);
            }
        }
    }
}
