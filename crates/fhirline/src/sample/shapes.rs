//! One table: the resources of the sample as templates, in order of type. The share of each shape is its weight.
//!
//! Shapes follow what real exports look like. Some lines are as a server wrote them, `resourceType` first. Others went
//! through a sorted map, so `resourceType` stands behind `category`, `contained` or a whole base64 `data`. In Patient
//! it is the last key.

/// One kind of line.
pub(super) struct Shape {
    pub(super) type_name: &'static str,
    /// How many lines of a thousand, about.
    pub(super) weight: u32,
    pub(super) text: &'static str,
}

const fn shape(type_name: &'static str, weight: u32, text: &'static str) -> Shape {
    Shape { type_name, weight, text }
}

pub(super) const SHAPES: &[Shape] = &[
    shape(
        "AllergyIntolerance",
        8,
        r##"{"resourceType":"AllergyIntolerance","id":"~l","meta":{"versionId":"~n","lastUpdated":"~T"},
        "text":{"status":"generated","div":"~x"},"clinicalStatus":{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},
        "verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification",
        "code":"unconfirmed"}]},"type":"allergy","category":["medication"],"criticality":"low","code":{"coding":[{
        "system":"http://example.org/fhir/medication",~m}]},"patient":{"reference":"Patient/~P"},"recordedDate":"~T",
        "note":[{"text":"~t"}],"reaction":[{"manifestation":[{"text":"~t"}],"severity":"mild"}]}"##,
    ),
    shape(
        "Binary",
        12,
        r##"{"contentType":"text/rtf","data":"~b","id":"~l","meta":{"source":"http://example.org/fhir/Binary/~i"},
        "resourceType":"Binary"}"##,
    ),
    shape(
        "CarePlan",
        8,
        r##"{"resourceType":"CarePlan","id":"~u","meta":{"lastUpdated":"~T"},"text":{"status":"generated","div":"~x"},
        "status":"active","intent":"plan","category":[{"coding":[{"system":"http://example.org/fhir/careplan",~a}]}],
        "subject":{"reference":"Patient/~P","display":"~G ~F"},"period":{"start":"~D"},"careTeam":[{
        "reference":"CareTeam/~i"}],"activity":[{"detail":{"code":{"coding":[{"system":"http://example.org/fhir/activity",
        ~a}]},"status":"in-progress","description":"~t"}},{"detail":{"code":{"coding":[{
        "system":"http://example.org/fhir/activity",~a}]},"status":"scheduled","description":"~t"}}],
        "note":[{"text":"~s"}]}"##,
    ),
    shape(
        "CareTeam",
        6,
        r##"{"contained":[{"id":"prov1","name":[{"family":"~F","given":["~G"]}],"resourceType":"Practitioner"},
        {"id":"org1","name":"~O","resourceType":"Organization"}],"id":"~i","identifier":[{
        "system":"http://example.org/id/team","value":"  ~i"}],"meta":{"lastUpdated":"~T"},"name":"Team ~C",
        "participant":[{"member":{"reference":"#prov1"},"role":[{"text":"~t"}]},{"member":{"reference":"#org1"}}],
        "resourceType":"CareTeam","status":"active","subject":{"display":"~G ~F","reference":"Patient/~P"}}"##,
    ),
    shape(
        "Claim",
        12,
        r##"{"resourceType":"Claim","id":"~u","status":"active","type":{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/claim-type","code":"professional"}]},"use":"claim",
        "patient":{"reference":"Patient/~P"},"billablePeriod":{"start":"~T","end":"~T"},"created":"~T",
        "provider":{"reference":"Organization/~i","display":"~O"},"priority":{"coding":[{"code":"normal"}]},
        "diagnosis":[{"sequence":1,"diagnosisCodeableConcept":{"coding":[{"system":"http://example.org/fhir/condition",
        ~c}]}}],"insurance":[{"sequence":1,"focal":true,"coverage":{"reference":"Coverage/~i"}}],"item":[{"sequence":1,
        "productOrService":{"coding":[{"system":"http://example.org/fhir/activity",~a}]},"unitPrice":{"value":~v,
        "currency":"USD"},"net":{"value":~v,"currency":"USD"}},{"sequence":2,"productOrService":{"coding":[{
        "system":"http://example.org/fhir/activity",~a}]},"unitPrice":{"value":~v,"currency":"USD"},"net":{"value":~v,
        "currency":"USD"}}],"total":{"value":~v,"currency":"USD"}}"##,
    ),
    shape(
        "Condition",
        25,
        r##"{"resourceType":"Condition","id":"~l","meta":{"versionId":"1","lastUpdated":"~T"},"clinicalStatus":{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active","display":"Active"}],
        "text":"Active"},"verificationStatus":{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}]},"category":[{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"problem-list-item"}]}],"code":{
        "coding":[{"system":"http://example.org/fhir/condition",~c}],"text":"~t"},"subject":{"reference":"Patient/~P",
        "display":"~F, ~G"},"onsetDateTime":"~D","recordedDate":"~D","note":[{"text":"~t"}]}"##,
    ),
    shape(
        "Condition",
        35,
        r##"{"category":[{"coding":[{"code":"encounter-diagnosis","display":"Encounter Diagnosis",
        "system":"http://terminology.hl7.org/CodeSystem/condition-category"}],"text":"Encounter Diagnosis"}],
        "clinicalStatus":{"coding":[{"code":"resolved","system":"http://terminology.hl7.org/CodeSystem/condition-clinical"}],
        "text":"Resolved"},"code":{"coding":[{~c,"system":"http://example.org/fhir/condition"},{~c,
        "system":"http://example.org/fhir/condition-local"}],"text":"~t"},"encounter":{"display":"Office Visit",
        "reference":"Encounter/~L"},"id":"~l","meta":{"lastUpdated":"~T","versionId":"~n"},"onsetPeriod":{"start":"~D"},
        "resourceType":"Condition","subject":{"display":"~F, ~G","reference":"Patient/~P"},"text":{"div":"~X",
        "status":"generated"},"verificationStatus":{"coding":[{"code":"confirmed"}]}}"##,
    ),
    shape(
        "Coverage",
        6,
        r##"{"resourceType":"Coverage","id":"~i","meta":{"lastUpdated":"~T"},"identifier":[{"type":{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MB"}]},"value":"SAMPLE-~i"}],"status":"active",
        "policyHolder":{"display":"~G ~F"},"subscriber":{"reference":"Patient/~P"},"subscriberId":"SAMPLE-~i",
        "beneficiary":{"reference":"Patient/~P"},"relationship":{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/subscriber-relationship","code":"self"}]},"period":{"start":"~D",
        "end":"~D"},"payor":[{"display":"~O"}],"costToBeneficiary":[{"valueMoney":{"value":~v,"currency":"USD"}}]}"##,
    ),
    shape(
        "Device",
        5,
        r##"{"deviceName":[{"name":"Mock device ~n","type":"user-friendly-name"}],"distinctIdentifier":"~i","id":"~u",
        "lotNumber":"~i","manufactureDate":"~T","meta":{"lastUpdated":"~T"},"note":[{"text":"~s"}],"patient":{
        "reference":"Patient/~P"},"resourceType":"Device","serialNumber":"~i","status":"active","type":{"text":"~t"}}"##,
    ),
    shape(
        "DiagnosticReport",
        35,
        r##"{"resourceType":"DiagnosticReport","id":"~l","meta":{"lastUpdated":"~T"},"text":{"status":"generated",
        "div":"~x"},"identifier":[{"use":"official","system":"http://example.org/id/report","value":"~i"}],"basedOn":[{
        "reference":"ServiceRequest/~L"}],"status":"final","category":[{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"LAB","display":"Laboratory"}]}],"code":{"coding":[{
        "system":"http://example.org/fhir/lab",~k}]},"subject":{"reference":"Patient/~P"},"encounter":{
        "reference":"Encounter/~L"},"effectiveDateTime":"~T","issued":"~T","performer":[{"display":"~G ~F"},{
        "display":"~O"}],"result":[{"reference":"Observation/~L","display":"Component (1): ~v"},{
        "reference":"Observation/~L","display":"Component (2): ~v"},{"reference":"Observation/~L"}],
        "conclusion":"~s"}"##,
    ),
    shape(
        "DocumentReference",
        30,
        r##"{"resourceType":"DocumentReference","id":"~l","meta":{"versionId":"~n","lastUpdated":"~T"},"identifier":[{
        "system":"http://example.org/id/document","value":"  ~i"}],"status":"current","docStatus":"final","type":{"coding":[{
        "system":"http://example.org/fhir/document",~a}]},"subject":{"reference":"Patient/~P"},"date":"~T","author":[{
        "reference":"Practitioner/~L","display":"~G ~F, MD"}],"custodian":{"display":"~O"},"description":"~s",
        "content":[{"attachment":{"contentType":"text/html","url":"Binary/~L","title":"~t"},"format":{
        "system":"http://ihe.net/fhir/ihe.formatcode.fhir/CodeSystem/formatcode","code":"urn:ihe:iti:xds:2017:mimeTypeSufficient"
        }},{"attachment":{"contentType":"text/rtf","url":"Binary/~L"}}],"context":{"encounter":[{"reference":"Encounter/~L"}],
        "period":{"start":"~T","end":"~T"}}}"##,
    ),
    shape(
        "Encounter",
        40,
        r##"{"resourceType":"Encounter","id":"~l","meta":{"versionId":"~n","lastUpdated":"~T"},"identifier":[{
        "use":"usual","system":"http://example.org/id/visit","value":"~i"}],"status":"finished","class":{
        "system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB","display":"ambulatory"},"type":[{"coding":[{
        "system":"http://example.org/fhir/visit",~a}],"text":"~t"}],"subject":{"reference":"Patient/~P","display":"~F, ~G"},
        "participant":[{"individual":{"reference":"Practitioner/~L","type":"Practitioner","display":"~G ~F, MD"}},{
        "individual":{"reference":"Practitioner/~L","display":"~G ~F, RN"}}],"period":{"start":"~T","end":"~T"},
        "reasonCode":[{"text":"~t"}],"location":[{"location":{"reference":"Location/~i","display":"~O"}}],
        "serviceProvider":{"display":"~O"}}"##,
    ),
    shape(
        "Goal",
        6,
        r##"{"resourceType":"Goal","id":"~u","lifecycleStatus":"active","achievementStatus":{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/goal-achievement","code":"in-progress"}]},"category":[{"text":"~t"}],
        "description":{"text":"~s"},"subject":{"reference":"Patient/~P"},"startDate":"~D","target":[{"measure":{"coding":[{
        "system":"http://example.org/fhir/lab",~k}]},"detailQuantity":{"value":~v,"unit":"~q"},"dueDate":"~D"}],
        "note":[{"text":"~t"}]}"##,
    ),
    shape(
        "Immunization",
        30,
        r##"{"resourceType":"Immunization","id":"~l","meta":{"lastUpdated":"~T"},"identifier":[{
        "system":"http://example.org/id/immunization","value":" ~i"}],"status":"completed","vaccineCode":{"coding":[{
        "system":"http://example.org/fhir/vaccine",~z}],"text":"~t"},"patient":{"reference":"Patient/~P","display":"~F, ~G"},
        "encounter":{"reference":"Encounter/~L"},"occurrenceDateTime":"~D","primarySource":true,"location":{"display":"~O"},
        "manufacturer":{"display":"Mock Biologics"},"lotNumber":"LOT-~i","expirationDate":"~D","site":{"text":"left arm"},
        "doseQuantity":{"value":~v,"unit":"mL"},"performer":[{"actor":{"display":"~G ~F, RN"}}],"note":[{"text":"~t"}]}"##,
    ),
    shape(
        "Location",
        8,
        r##"{"address":{"city":"~C","country":"ZZ","line":["~n Example Street","Floor ~n"],"postalCode":"00000"},
        "alias":["~O"],"description":"~t","id":"~i","identifier":[{"system":"http://example.org/id/location","value":" ~i"}],
        "managingOrganization":{"display":"~O","reference":"Organization/~i"},"meta":{"lastUpdated":"~T"},"mode":"instance",
        "name":"~O","position":{"latitude":~v,"longitude":-~v},"resourceType":"Location","status":"active","telecom":[~R],
        "type":[{"text":"~t"}]}"##,
    ),
    shape(
        "Medication",
        25,
        r##"{"code":{"coding":[{~m,"system":"http://example.org/fhir/medication"},{~m,
        "system":"http://example.org/fhir/medication-local"}],"text":"~t"},"form":{"coding":[{"code":"TAB",
        "display":"tablet","system":"http://example.org/fhir/form"}],"text":"tablet"},"id":"~l","identifier":[{
        "system":"http://example.org/id/medication","use":"usual","value":"~i"}],"ingredient":[{"itemCodeableConcept":{
        "coding":[{~m,"system":"http://example.org/fhir/ingredient"}]},"strength":{"denominator":{"unit":"{tablet}",
        "value":1.00},"numerator":{"unit":"mg","value":~v}}}],"meta":{"lastUpdated":"~T"},"resourceType":"Medication",
        "status":"active"}"##,
    ),
    shape(
        "MedicationRequest",
        35,
        r##"{"resourceType":"MedicationRequest","id":"~l","meta":{"versionId":"~n","lastUpdated":"~T"},"identifier":[{
        "use":"usual","system":"http://example.org/id/order","value":"~i"}],"status":"active","intent":"order","category":[{
        "coding":[{"system":"http://terminology.hl7.org/CodeSystem/medicationrequest-category","code":"community"}]}],
        "medicationReference":{"reference":"Medication/~L","display":"~t"},"subject":{"reference":"Patient/~P"},
        "encounter":{"reference":"Encounter/~L"},"authoredOn":"~T","requester":{"reference":"Practitioner/~L",
        "display":"~G ~F, MD"},"dosageInstruction":[{"text":"~t","timing":{"repeat":{"frequency":~n,"period":1.0,
        "periodUnit":"d"}},"doseAndRate":[{"doseQuantity":{"value":~v,"unit":"mg"}}]}],"dispenseRequest":{
        "numberOfRepeatsAllowed":~n,"quantity":{"value":~v,"unit":"tablet"}}}"##,
    ),
    shape(
        "MedicationRequest",
        20,
        r##"{"authoredOn":"~T","contained":[{"code":{"coding":[{~m,"system":"http://example.org/fhir/medication"}]},
        "id":"med1","resourceType":"Medication","status":"active"}],"dosageInstruction":[{"doseAndRate":[{"doseQuantity":{
        "unit":"mg","value":~v}}],"text":"~t"}],"encounter":{"reference":"Encounter/~i"},"id":"~i","intent":"order",
        "medicationReference":{"reference":"#med1"},"meta":{"lastUpdated":"~T"},"note":[{"text":"~s"}],"requester":{
        "display":"~G ~F"},"resourceType":"MedicationRequest","status":"completed","subject":{
        "reference":"Patient/~P"}}"##,
    ),
    shape(
        "Observation",
        170,
        r##"{"resourceType":"Observation","id":"~u","meta":{"versionId":"~n","lastUpdated":"~T"},"identifier":[{
        "use":"official","system":"http://example.org/id/result","value":"~i"}],"status":"final","category":[{"coding":[{
        "system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory","display":"Laboratory"}],
        "text":"Laboratory"}],"code":{"coding":[{"system":"http://example.org/fhir/lab",~k}],"text":"~t"},"subject":{
        "reference":"Patient/~P","display":"~F, ~G"},"encounter":{"reference":"Encounter/~L"},"effectiveDateTime":"~T",
        "issued":"~T","performer":[{"display":"~O"}],"valueQuantity":{"value":~v,"unit":"~q",
        "system":"http://unitsofmeasure.org","code":"~q"},"interpretation":[{"text":"Normal"}],"referenceRange":[{"low":{
        "value":~v,"unit":"~q"},"high":{"value":~v,"unit":"~q"},"text":"~v - ~v ~q"}]}"##,
    ),
    shape(
        "Observation",
        60,
        r##"{"resourceType":"Observation","id":"~i","status":"final","code":{"coding":[{
        "system":"http://example.org/fhir/lab",~k}]},"subject":{"reference":"Patient/~P"},"effectiveDateTime":"~T",
        "valueQuantity":{"value":~v,"unit":"~q"}}"##,
    ),
    shape(
        "Observation",
        190,
        r##"{"category":[{"coding":[{"code":"vital-signs","display":"Vital Signs",
        "system":"http://terminology.hl7.org/CodeSystem/observation-category"}],"text":"Vital Signs"}],"code":{"coding":[{~k,
        "system":"http://example.org/fhir/lab"},{~k,"system":"http://example.org/fhir/lab-local"}],"text":"~t"},
        "effectiveDateTime":"~T","encounter":{"display":"Office Visit","reference":"Encounter/~L"},"id":"~l","issued":"~T",
        "meta":{"lastUpdated":"~T","versionId":"~n"},"performer":[{"display":"~G ~F, RN","reference":"Practitioner/~L"}],
        "resourceType":"Observation","status":"final","subject":{"display":"~F, ~G","reference":"Patient/~P"},
        "valueQuantity":{"code":"~q","system":"http://unitsofmeasure.org","unit":"~q","value":~v}}"##,
    ),
    shape(
        "Observation",
        70,
        r##"{"category":[{"coding":[{"code":"vital-signs"}]}],"code":{"coding":[{"code":"L-900",
        "display":"Blood pressure panel","system":"http://example.org/fhir/lab"}]},"component":[{"code":{"coding":[{
        "code":"L-901","display":"Upper value","system":"http://example.org/fhir/lab"}]},"valueQuantity":{"code":"mm[Hg]",
        "system":"http://unitsofmeasure.org","unit":"mmHg","value":~v}},{"code":{"coding":[{"code":"L-902",
        "display":"Lower value","system":"http://example.org/fhir/lab"}]},"valueQuantity":{"code":"mm[Hg]",
        "system":"http://unitsofmeasure.org","unit":"mmHg","value":~v}}],"effectiveDateTime":"~T","id":"~l","meta":{
        "lastUpdated":"~T"},"note":[{"text":"~t"}],"resourceType":"Observation","status":"amended","subject":{
        "reference":"Patient/~P"}}"##,
    ),
    shape(
        "Observation",
        30,
        r##"{"resourceType":"Observation","id":"~u","meta":{"lastUpdated":"~T"},"text":{"status":"generated","div":"~x"},
        "status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category",
        "code":"survey"}]}],"code":{"text":"~t"},"subject":{"reference":"Patient/~P"},"effectivePeriod":{"start":"~T",
        "end":"~T"},"valueCodeableConcept":{"text":"~t"},"note":[{"authorString":"~G ~F","time":"~T","text":"~s"}],
        "component":[{"code":{"text":"score"},"valueInteger":~n},{"code":{"text":"ratio"},"valueRatio":{"numerator":{
        "value":1.00},"denominator":{"value":~v}}}]}"##,
    ),
    shape(
        "Organization",
        8,
        r##"{"active":true,"address":[{"city":"~C","country":"ZZ","line":["~n Fixture Road"],"postalCode":"00000","use":"work"}
        ],"alias":["~O"],"id":"~i","identifier":[{"system":"http://example.org/id/organization","value":"  ~i"}],"meta":{
        "lastUpdated":"~T"},"name":"~O","resourceType":"Organization","telecom":[~R],"text":{"div":"~X",
        "status":"generated"}}"##,
    ),
    shape(
        "Patient",
        3,
        r##"{"id":"~p","meta":{"versionId":"~n","lastUpdated":"~T"},"text":{"status":"generated","div":"~x"},"extension":[{
        "url":"http://example.org/fhir/StructureDefinition/synthetic","valueBoolean":true}],"identifier":[{"use":"usual",
        "type":{"text":"SAMPLE"},"system":"http://example.org/id/patient","value":"  ~i"}],"active":true,"name":[{
        "use":"official","text":"~G ~F","family":"~F","given":["~G","~G"]}],"telecom":[~R],"gender":"unknown",
        "birthDate":"~D","deceasedBoolean":false,"address":[{"use":"home","line":["~n Placeholder Lane"],"city":"~C",
        "postalCode":"00000","country":"ZZ"}],"maritalStatus":{"text":"not asked"},"communication":[{"language":{
        "text":"English"},"preferred":true}],"generalPractitioner":[{"reference":"Practitioner/~L","display":"~G ~F, MD"}],
        "managingOrganization":{"display":"~O"},"resourceType":"Patient"}"##,
    ),
    shape(
        "Practitioner",
        20,
        r##"{"active":true,"address":[{"city":"~C","country":"ZZ","line":["~n Mock Avenue","Suite ~n"],
        "postalCode":"00000"}],"gender":"unknown","id":"~l","identifier":[{"system":"http://example.org/id/practitioner",
        "use":"usual","value":"  ~i"},{"system":"http://example.org/id/licence","value":"ZZ~i"}],"meta":{
        "lastUpdated":"~T"},"name":[{"family":"~F","given":["~G"],"prefix":["Dr."],"text":"Dr. ~G ~F","use":"usual"}],
        "qualification":[{"code":{"coding":[{"code":"MD","system":"http://terminology.hl7.org/CodeSystem/v2-0360"}],
        "text":"~t"}}],"resourceType":"Practitioner","telecom":[{"system":"phone","use":"work","value":"~h"},{
        "system":"fax","use":"work","value":"~h"}]}"##,
    ),
    shape(
        "Procedure",
        40,
        r##"{"resourceType":"Procedure","id":"~l","meta":{"lastUpdated":"~T"},"text":{"status":"generated","div":"~x"},
        "status":"completed","category":{"text":"~t"},"code":{"coding":[{"system":"http://example.org/fhir/activity",~a}],
        "text":"~t"},"subject":{"reference":"Patient/~P","display":"~G ~F"},"encounter":{"reference":"Encounter/~L"},
        "performedPeriod":{"start":"~T","end":"~T"},"performer":[{"actor":{"reference":"Practitioner/~L",
        "display":"~G ~F, MD"}}],"location":{"display":"~O"},"reasonCode":[{"coding":[{
        "system":"http://example.org/fhir/condition",~c}]}],"note":[{"text":"~t"}]}"##,
    ),
    shape(
        "Provenance",
        10,
        r##"{"activity":{"coding":[{"code":"CREATE","system":"http://terminology.hl7.org/CodeSystem/v3-DataOperation"}]},
        "agent":[{"type":{"coding":[{"code":"author",
        "system":"http://terminology.hl7.org/CodeSystem/provenance-participant-type"}]},"who":{"display":"~O",
        "reference":"Organization/~i"}}],"id":"~u","meta":{"lastUpdated":"~T"},"recorded":"~T","resourceType":"Provenance",
        "target":[{"reference":"Observation/~L"},{"reference":"Condition/~L"},{"reference":"Encounter/~L"},{
        "reference":"DocumentReference/~L"}]}"##,
    ),
    shape(
        "QuestionnaireResponse",
        8,
        r##"{"resourceType":"QuestionnaireResponse","id":"~u","questionnaire":"http://example.org/fhir/Questionnaire/demo",
        "status":"completed","subject":{"reference":"Patient/~P"},"authored":"~T","item":[{"linkId":"1","text":"~t",
        "answer":[{"valueString":"~t"}]},{"linkId":"2","text":"~t","answer":[{"valueDecimal":~v}]},{"linkId":"3","text":"~t",
        "item":[{"linkId":"3.1","text":"~t","answer":[{"valueBoolean":true}]},{"linkId":"3.2","text":"~t","answer":[{
        "valueInteger":~n}]}]},{"linkId":"4","text":"~t","answer":[{"valueString":"~s"}]}]}"##,
    ),
    shape(
        "ServiceRequest",
        35,
        r##"{"authoredOn":"~T","category":[{"text":"~t"}],"code":{"coding":[{~k,"system":"http://example.org/fhir/lab"}],
        "text":"~t"},"encounter":{"reference":"Encounter/~L"},"id":"~l","identifier":[{"system":"http://example.org/id/order",
        "value":"~i"}],"intent":"order","meta":{"lastUpdated":"~T"},"note":[{"text":"~s"}],"occurrenceDateTime":"~T",
        "priority":"routine","requester":{"display":"~G ~F, MD","reference":"Practitioner/~L"},
        "resourceType":"ServiceRequest","status":"completed","subject":{"display":"~F, ~G","reference":"Patient/~P"}}"##,
    ),
];

/// A legal line whose type no file could be named after.
pub(super) const ODD_TYPE: &str = "x-custom/thing";
/// The line with [`ODD_TYPE`].
pub(super) const ODD: &str =
    r##"{"resourceType":"x-custom/thing","id":"~u","subject":{"reference":"Patient/~P"},"value":~v}"##;
/// A broken line: only a contained resource has a type.
pub(super) const UNTYPED: &str = r##"{"id":"~u","contained":[{"resourceType":"Medication","id":"med1"}],"status":"active",
    "note":[{"text":"~t"}]}"##;
/// A broken line: the type is a number.
pub(super) const NUMBER_TYPE: &str = r##"{"resourceType":7,"id":"~u","status":"final","subject":{"reference":"Patient/~P"},"note":[{"text":"~t"}]}"##;
/// A broken line: something else wrote into the file.
pub(super) const LOG_LINE: &str = "~T WARN exporter: page ~n of 30 answered slowly, trying again";
