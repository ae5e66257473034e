//! The layers and their modules, as the table in the library's documentation has them.

/// From the top: each may use those before it.
const LAYERS: [&str; 5] = ["words", "decisions", "adapters", "assembly", "surface"];

/// The only part of an adapter that the simulated platform shares, so that one mistake cannot confirm itself.
const SHARED_WITH_SIM: [&str; 2] = ["platform", "wire"];

#[derive(Debug)]
pub struct Map {
    /// Modules in the order of the table, each with its layer's place in `LAYERS`.
    modules: Vec<(String, usize)>,
}

impl Map {
    /// Reads the rows `| layer | [`module`], … | … |`.
    pub fn of_library(text: &str) -> Result<Self, String> {
        let mut modules: Vec<(String, usize)> = Vec::new();
        let mut next = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("//! | ")) {
            let mut cells = line.split(" | ");
            let (Some(layer), Some(names)) = (cells.next(), cells.next()) else { continue };
            if LAYERS.get(next) != Some(&layer) {
                continue;
            }
            for name in names.split(", ") {
                let name = name.trim_start_matches("[`").trim_end_matches("`]").to_owned();
                if modules.iter().any(|(known, _)| *known == name) {
                    return Err(format!("{name} is in the map twice"));
                }
                modules.push((name, next));
            }
            next += 1;
        }
        if next == LAYERS.len() { Ok(Self { modules }) } else { Err(format!("the map lacks {}", LAYERS[next])) }
    }

    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|(name, _)| name.as_str())
    }

    pub fn knows(&self, module: &str) -> bool {
        self.place(module).is_some()
    }

    fn place(&self, module: &str) -> Option<usize> {
        self.modules().position(|name| name == module)
    }

    fn layer(&self, place: usize) -> &str {
        LAYERS[self.modules[place].1]
    }

    /// Why `module` may not use the path, whose first part is a module of the crate; nothing when it may.
    pub fn refusal(&self, module: &str, path: &[String]) -> Option<String> {
        let used = path.first()?;
        if used == module {
            return None;
        }
        let Some(to) = self.place(used) else {
            return Some(format!("{used} is no module of the map; name the module that is meant"));
        };
        let from = if module == "main" { self.modules.len() } else { self.place(module)? };
        if module == "sim" && self.layer(to) != "words" && !path.iter().take(2).eq(SHARED_WITH_SIM) {
            return Some("the simulated platform uses words and platform::wire, and nothing else".to_owned());
        }
        if module != "main" && self.layer(from) == "adapters" && self.layer(to) == "adapters" {
            return Some("adapters never use each other; let assembly join them".to_owned());
        }
        (to > from).then(|| format!("imports point up the map, and {used} stands below {module}"))
    }
}

/// The modules that the library's root declares.
pub fn declared_modules(text: &str) -> Vec<String> {
    let declared = |line: &str| {
        let name = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')?;
        Some(name.to_owned())
    };
    text.lines().filter_map(declared).collect()
}
