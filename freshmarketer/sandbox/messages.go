package sandbox

import "fmt"

// Language of the error texts. Real accounts answer in their user's language, so no client may depend on English.
// Source: Dutch and Spanish texts seen in recorded answers; the translations here are our own.
type Language string

// The languages there are texts for.
const (
	English Language = "en"
	Dutch   Language = "nl"
	Spanish Language = "es"
)

// message names a text; which words it becomes depends on the account's language.
type message int

const (
	alreadyExists message = iota
	notUnique
	needToFill
	invalidEmail
	badLength
	invalidChoice
	badTimeZone
	invalidAttributes
	notInCRM
	notAuthorized
	badKey
	cannotBeEmpty
	cannotBeBlank
	alreadyTaken
	badFormat
)

// texts in English are as seen from real accounts, apart from notUnique for the external id (inferred from the mobile
// number's) and notAuthorized, of which only a part is known.
var texts = map[Language]map[message]string{ //nolint:gochecknoglobals // a table nobody writes to
	English: {
		alreadyExists:     "%s already exists.",
		notUnique:         "%s is not unique",
		needToFill:        "Need to fill this %s to submit the form.",
		invalidEmail:      "%s is an invalid email address.",
		badLength:         "%s is not in required length",
		invalidChoice:     "Invalid %s provided.",
		badTimeZone:       "Not a supported time zone",
		invalidAttributes: "Invalid or missing attributes",
		notInCRM:          "This record is not in the CRM any more.",
		notAuthorized:     "You are not authorized to perform this action.",
		badKey:            "Incorrect or expired API key",
		cannotBeEmpty:     "%s can't be empty",
		cannotBeBlank:     "%s can't be blank",
		alreadyTaken:      "%s has already been taken",
		badFormat:         "%s is not in required format",
	},
	Dutch: {
		alreadyExists:     "%s bestaat al.",
		notUnique:         "%s is niet uniek",
		needToFill:        "Vul %s in om het formulier te verzenden.",
		invalidEmail:      "%s is een ongeldig e-mailadres.",
		badLength:         "%s heeft niet de vereiste lengte",
		invalidChoice:     "Ongeldige %s opgegeven.",
		badTimeZone:       "Geen ondersteunde tijdzone",
		invalidAttributes: "Ongeldige of ontbrekende kenmerken",
		notInCRM:          "Dit record staat niet meer in het CRM.",
		notAuthorized:     "U bent niet bevoegd om deze actie uit te voeren.",
		badKey:            "Onjuiste of verlopen API-sleutel",
		cannotBeEmpty:     "%s mag niet leeg zijn",
		cannotBeBlank:     "%s moet opgegeven zijn",
		alreadyTaken:      "%s is al in gebruik",
		badFormat:         "%s heeft niet de vereiste vorm",
	},
	Spanish: {
		alreadyExists:     "%s ya existe.",
		notUnique:         "%s no es único",
		needToFill:        "Es necesario rellenar %s para enviar el formulario.",
		invalidEmail:      "%s es una dirección de correo electrónico no válida.",
		badLength:         "%s no tiene la longitud requerida",
		invalidChoice:     "Se proporcionó un valor no válido para %s.",
		badTimeZone:       "Zona horaria no admitida",
		invalidAttributes: "Atributos no válidos o ausentes",
		notInCRM:          "Este registro ya no está en el CRM.",
		notAuthorized:     "No tiene autorización para realizar esta acción.",
		badKey:            "Clave de API incorrecta o caducada",
		cannotBeEmpty:     "%s no puede estar vacío",
		cannotBeBlank:     "%s no puede estar en blanco",
		alreadyTaken:      "%s ya está en uso",
		badFormat:         "%s no tiene el formato requerido",
	},
}

// say puts a message into the account's language.
func (s *Sandbox) say(m message, args ...any) string {
	return fmt.Sprintf(texts[s.opt.Language][m], args...)
}
