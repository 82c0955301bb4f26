package plan

// Code names a kind of diagnostic. Codes are stable: a code that is no longer
// given out is not given to something else.
type Code string

// What the compiler says of a contract.
const (
	CodeSyntax        Code = "VG1001"
	CodeNotAModule    Code = "VG1002"
	CodeNoEnvironment Code = "VG1003"
	CodeReference     Code = "VG1004"
	CodeConflict      Code = "VG1005"
	CodeIncomplete    Code = "VG1006"
	CodeUnknownField  Code = "VG1007"
	CodeLoosened      Code = "VG1008"
	CodeNotOneOf      Code = "VG1009"
	CodeSchemaStale   Code = "VG1010"
	CodeNotCUE        Code = "VG1011"
	CodeAttribute     Code = "VG1012"
	CodeLimit         Code = "VG1013"
	CodeUnbounded     Code = "VG1014"
	CodeName          Code = "VG1101"
	CodeSameSecret    Code = "VG1102"
	CodeTypeKeys      Code = "VG1103"
	CodeTooBig        Code = "VG1104"
	CodeKeyMadeFrom   Code = "VG1105"
	CodeNoKeys        Code = "VG1106"
	CodeNoCertificate Code = "VG1107"
	CodeControl       Code = "VG1115"
	CodeUnknownInput  Code = "VG1201"
	CodeUnknownSource Code = "VG1202"
	CodeTemplate      Code = "VG1203"
	CodeUnknownFunc   Code = "VG1204"
	CodeUnguarded     Code = "VG1205"
	CodeUnusedInput   Code = "VG1206"
	CodeDeprecated    Code = "VG1207"
	CodeContent       Code = "VG1208"
	CodeQuestions     Code = "VG1209"
	CodeTemplateBig   Code = "VG1210"
	CodeSamePlace     Code = "VG1211"
	// What the operator does otherwise than victorgen.
	CodeExternalTemplate Code = "VG1212"
	CodePresenceUnknown  Code = "VG1213"
	CodePrintsNothing    Code = "VG1214"
	CodePrevious         Code = "VG1215"

	CodeRule          Code = "VG1301"
	CodeConstraint    Code = "VG1302"
	CodeGenerate      Code = "VG1303"
	CodeLiteralSecret Code = "VG1304"
	CodeMisplaced     Code = "VG1305"
	CodeSourceCannot  Code = "VG1306"
	CodeExternal      Code = "VG1307"
)

// What is said of what a contract would do with the rights of others.
const (
	CodeAddress   Code = "VG1401"
	CodePlainHTTP Code = "VG1402"
	CodeOutside   Code = "VG1403"
	CodeInTree    Code = "VG1404"
	CodeTreeLink  Code = "VG1405"

	CodePolicy     Code = "VG1406"
	CodePolicyRead Code = "VG1407"
	CodeAuthority  Code = "VG1408"

	CodeEverybody       Code = "VG1410"
	CodeForeignReader   Code = "VG1411"
	CodeCopied          Code = "VG1412"
	CodeClusterWide     Code = "VG1413"
	CodeSystemNamespace Code = "VG1414"
	CodeTaken           Code = "VG1415"
	CodeRunner          Code = "VG1416"
	CodeCommand         Code = "VG1417"
)

// What is said of the workloads that use the secrets.
const (
	CodeNoSecret       Code = "VG1601"
	CodeNoKey          Code = "VG1602"
	CodeMayBeAbsent    Code = "VG1603"
	CodeWrongType      Code = "VG1604"
	CodeOtherNamespace Code = "VG1605"
	CodeVariableName   Code = "VG1606"
	CodeSubPath        Code = "VG1607"
	CodeImmutableUsed  Code = "VG1608"
	CodeNotConsumed    Code = "VG1609"
	CodeWorkloadRead   Code = "VG1610"
	CodeWorkloads      Code = "VG1611"
)

// ForReview are the codes of warnings for those who review a contract.
var ForReview = map[Code]bool{
	CodeEverybody: true, CodeForeignReader: true, CodeCopied: true, CodeClusterWide: true, CodeSystemNamespace: true, CodeTaken: true, CodeRunner: true,
}

// What resolution says of values.
const (
	CodeMissing          Code = "VG2001"
	CodeMissingGenerated Code = "VG2002"
	CodeRuleBroken       Code = "VG2003"
	CodePlaceholder      Code = "VG2004"
	CodeWeak             Code = "VG2005"
	CodeValuePattern     Code = "VG2006"
	CodeValueFormat      Code = "VG2007"
	CodeValueLength      Code = "VG2008"
	CodeValueOneOf       Code = "VG2009"
	CodeValueEncoding    Code = "VG2010"
	CodeStale            Code = "VG2011"
	CodeUnfit            Code = "VG2025"
	CodeExpires          Code = "VG2026"
	CodeTypeContent      Code = "VG2013"
	CodeKeyPair          Code = "VG2014"
	CodeSourceRead       Code = "VG2101"
	CodeSourceWrite      Code = "VG2102"
	CodeFileMode         Code = "VG2103"
	CodeFileSyntax       Code = "VG2104"
	CodeUnknownName      Code = "VG2105"
	CodeLockKey          Code = "VG2106"
	CodeLost             Code = "VG2107"
	CodeUnrecoverable    Code = "VG2108"
	CodeHasAnother       Code = "VG2109"
	CodeNeverRotate      Code = "VG2110"
	CodeDotenvDiffers    Code = "VG2120"
	CodeStrayEnds        Code = "VG2121"
	CodeInGit            Code = "VG2122"
	CodeTwoPlaces        Code = "VG2123"
	CodeSameValue        Code = "VG2124"
	CodeSharedFile       Code = "VG2125"
	CodeNotSet           Code = "VG2126"
	CodeValueRead        Code = "VG2127"
	CodePreviousOver     Code = "VG2128"
	CodePreviousDropped  Code = "VG2129"
	CodePending          Code = "VG2130"
	CodeNotTold          Code = "VG2131"
	CodeAgeless          Code = "VG2135"
)

// What the emitter says of certificates, the lock and the tree.
const (
	CodeCertificateRead    Code = "VG3001"
	CodeCertificateExpired Code = "VG3002"
	CodeCertificateKey     Code = "VG3003"
	CodeCertificateMany    Code = "VG3004"
	CodeCertificateEnds    Code = "VG3005"
	CodeCertificateSwapped Code = "VG3006"
	CodeCertificateDemo    Code = "VG3007"
	CodeRender             Code = "VG3101"
	CodeSecretTooBig       Code = "VG3102"
	CodeCannotSeal         Code = "VG3103"
	CodeLeftOut            Code = "VG3104"
	CodeEdited             Code = "VG3105"
	CodeKept               Code = "VG3106"
	CodePresence           Code = "VG3107"
	CodeRendersNothing     Code = "VG3108"
	CodeRenderLimit        Code = "VG3109"
	CodeLargeObject        Code = "VG3110"
	CodeLockRead           Code = "VG4001"
	CodeTreeRead           Code = "VG4002"
	CodeTreeWrite          Code = "VG4003"
	CodeTreeForeign        Code = "VG4004"
	CodeKustomize          Code = "VG4005"
	CodeTreeDiffers        Code = "VG4006"
	CodeOverlay            Code = "VG4007"
	CodeLockTimes          Code = "VG4008"
	CodeLockOld            Code = "VG4009"
	CodeLockKeyMoved       Code = "VG4010"
	CodeOrphan             Code = "VG4011"
	CodeMadeTwice          Code = "VG4012"
	CodeNotRendered        Code = "VG4013"
)

// What is said of the revision that a tree is compared with.
const (
	CodeMerge          Code = "VG4021"
	CodeRevision       Code = "VG4022"
	CodeRevisionBroken Code = "VG4023"
)

// What scan says of files.
const (
	CodeFound      Code = "VG6201"
	CodeNotScanned Code = "VG6202"
)

// What is said of the program itself.
const CodeCrash Code = "VG1430"

// What is said of sources and the operator.
const (
	CodeVaultPath  Code = "VG1431"
	CodeESOVersion Code = "VG1432"
	CodeElsewhere  Code = "VG1433"
	CodePlainText  Code = "VG2113"
)

// What is said of a cluster.
const (
	CodeClusterRead  Code = "VG5001"
	CodeClusterWrite Code = "VG5002"

	CodeOwned         Code = "VG5003"
	CodeFieldConflict Code = "VG5004"
	CodeUnchangeable  Code = "VG5005"
	CodeNoNamespace   Code = "VG5006"
	CodeNotRestarted  Code = "VG5007"
	CodeNotTheLocks   Code = "VG5008"
	// Of the certificate that its controller provides.
	CodeNoController       Code = "VG5201"
	CodeCertificateUseless Code = "VG5202"
	CodeCertificateWrite   Code = "VG5203"
	CodeTwoControllers     Code = "VG5204"
)

// What verify says of a live cluster.
const (
	CodeSecretAbsent    Code = "VG5101"
	CodeKeyAbsent       Code = "VG5102"
	CodeKeyUndeclared   Code = "VG5103"
	CodeKeyDiffers      Code = "VG5104"
	CodeTypeDiffers     Code = "VG5105"
	CodeMetadataDiffers Code = "VG5106"
	CodeNotDelivered    Code = "VG5107"
	CodeNotReconciled   Code = "VG5108"
	CodeStoreNotReady   Code = "VG5109"
	CodeScopeDiffers    Code = "VG5110"
	CodeNotNewest       Code = "VG5111"
	CodeNewestUnknown   Code = "VG5112"
	CodeReused          Code = "VG5113"
	CodeKindUnknown     Code = "VG5114"
	CodeForeignKey      Code = "VG5115"
)

// What import says of what it reads and of what becomes of it.
const (
	CodeImportRead    Code = "VG6001"
	CodeImportLeft    Code = "VG6002"
	CodeImportDiffers Code = "VG6003"
	CodeImportExists  Code = "VG6004"
	CodeImportUnfit   Code = "VG6005"
)
