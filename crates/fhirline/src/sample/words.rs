//! The words of the sample. Nobody is called so, and no code system holds these codes. Text is JSON-escaped already,
//! on purpose in different ways: raw UTF-8, `\u` escapes, surrogate pairs, escaped quotes and line ends.

pub(super) const GIVEN: &[&str] = &[
    "Testina",
    "Exampla",
    "Mockert",
    "Fauxline",
    "Démo",
    "Zoë-Probe",
    "Sampson",
    "Placida",
    "Dummyard",
    "Attrapa",
    "Ren\\u00e9e-Essai",
    "Kokeilu",
    "Vzorek",
    "Πρόβα",
    "试用",
];

pub(super) const FAMILY: &[&str] = &[
    "Synthwell",
    "Placeholder",
    "Samplesson",
    "Ødegård-Test",
    "Ñandú-Prueba",
    "McFixture",
    "von Muster",
    "Nullman",
    "O'Example",
    "Fict\\u00edcia",
    "Beispielhuber",
    "Örnekoğlu",
    "Testarossa-Mock",
];

pub(super) const CITIES: &[&str] = &[
    "Sampleton",
    "Fixture Falls",
    "Port Placeholder",
    "Mock-sur-Mer",
    "Testhügel",
    "Null Island",
    "Demoville",
];

pub(super) const ORGANIZATIONS: &[&str] = &[
    "Example Valley Clinic",
    "St. Fixture Hospital",
    "Placeholder Family Practice",
    "Mock \\u0026 Sons Laboratory",
    "Zentrum für Musterdaten",
    "Sampleton Urgent Care",
];

/// What is measured, and its unit.
pub(super) const MEASUREMENTS: &[(&str, &str)] = &[
    ("Body weight", "kg"),
    ("Body height", "cm"),
    ("Body temperature", "Cel"),
    ("Heart rate", "/min"),
    ("Respiratory rate", "/min"),
    ("Oxygen saturation", "%"),
    ("Glucose in blood", "mg/dL"),
    ("Sodium in serum", "mmol/L"),
    ("Potassium in serum", "mmol/L"),
    ("Chloride in serum", "mmol/L"),
    ("Creatinine in serum", "mg/dL"),
    ("Urea nitrogen in serum", "mg/dL"),
    ("Calcium in serum", "mg/dL"),
    ("Hemoglobin in blood", "g/dL"),
    ("Hematocrit of blood", "%"),
    ("Leukocytes in blood", "10*3/uL"),
    ("Platelets in blood", "10*3/uL"),
    ("Cholesterol, total", "mg/dL"),
    ("Triglycerides", "mg/dL"),
    ("Vitamin D (25-OH)", "ng/mL"),
    ("Ferritin", "ug/L"),
    ("Thyroid stimulating hormone", "m[IU]/L"),
    ("Waist circumference", "cm"),
    ("Pain, \\\"worst today\\\", 0-10", "{score}"),
    ("Température buccale", "Cel"),
];

pub(super) const CONDITIONS: &[&str] = &[
    "Made-up condition, mild",
    "Made-up condition, recurring",
    "Seasonal testing fatigue",
    "Fixture-related stiffness",
    "Sample elbow",
    "Placeholder syndrome (suspected)",
    "Chronic example, well controlled",
    "Épreuve aiguë",
];

pub(super) const MEDICATIONS: &[&str] = &[
    "Examplomycin 250 mg oral tablet",
    "Placebonol 10 mg/mL oral solution",
    "Mockazine 0.50 mg capsule",
    "Fixturol 1.00 % cream",
    "Samplicillin 500 mg",
    "Testosan \\u00bd tablet",
    "Dummyprofen 200 mg",
];

pub(super) const ACTIVITIES: &[&str] = &[
    "Review of test data",
    "Sampling of a sample",
    "Placement of a placeholder",
    "Imaging of a fixture",
    "Counselling about examples",
    "Removal of a mock object",
    "Annual rehearsal visit",
];

pub(super) const VACCINES: &[&str] = &[
    "Example vaccine, first dose",
    "Example vaccine, booster",
    "Mock-valent seasonal vaccine",
    "Placeholder toxoid",
];

pub(super) const SENTENCES: &[&str] = &[
    "This sentence stands in for a clinical note.",
    "The patient does not exist and feels well.",
    "Follow-up in two weeks, or never, as nobody is there.",
    "Caf\\u00e9 au lait was offered and declined.",
    "Größe und Gewicht wie beim letzten Mal.",
    "Values marked \\\"high\\\" are high by construction.",
    "Path of the original: C:\\\\export\\\\page-3.",
    "Ratio 1:2\\/3, see \\u00a7 4 and the table below.",
    "Mood: \\ud83d\\ude42, appetite: 😀.",
    "Temperature was 37.0 °C at rest and 37.10 °C after the stairs.",
    "A line separator\u{2028}and a next-line mark\u{85}stand raw in this text.",
    "Tab\\tseparated\\tremarks\\tfollow.",
    "次回の予約は不要です。",
    "No known allergies to generated data.",
    "The braces { } [ ] , : in this text mean nothing.",
    "\\\"resourceType\\\":\\\"Decoy\\\" is only text here.",
];
