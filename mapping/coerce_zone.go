package mapping

import (
	"slices"
	"strings"
)

// timeZone gives the name of a Rails time zone, the only one the API takes: a name of the account's list as it stands
// there or without its offset, or a tzdata name (Europe/Berlin) that one of them means.
// Source: Freshworks CRM API reference, "Value formats and limits on write": tzdata names are refused.
func (f *field) timeZone(v any) (any, Reason) {
	s, ok := v.(string)
	if s = clean(s); !ok || s == "" {
		return nil, ReasonNotTimeZone
	}
	if zone, ok := f.zone(s); ok {
		return zone, ""
	}
	for _, name := range railsZones(s) {
		if zone, ok := f.zone(name); ok {
			return zone, ""
		}
	}
	return nil, ReasonNotTimeZone
}

// zone finds a zone of the account's list. Without a list every name that Rails knows is taken.
func (f *field) zone(name string) (string, bool) {
	for _, c := range f.Choices {
		if own := zoneOf(c); strings.EqualFold(own, name) || strings.EqualFold(clean(c.Value), name) {
			return own, true
		}
	}
	if len(f.Choices) > 0 {
		return "", false
	}
	for rails := range strings.SplitSeq(zoneTable, "\n") {
		names, _, _ := strings.Cut(rails, "=")
		for own := range strings.SplitSeq(names, "|") {
			if strings.EqualFold(own, name) {
				return own, true
			}
		}
	}
	return "", false
}

// zoneOf is the zone's name in a choice: its id, or if that is a number its text without the offset, "(GMT+01:00) Berlin".
func zoneOf(c Choice) string {
	if strings.ContainsFunc(c.ID, func(r rune) bool { return r < '0' || r > '9' }) {
		return clean(c.ID)
	}
	_, name, found := strings.Cut(c.Value, ") ")
	if !found || !strings.HasPrefix(c.Value, "(") {
		name = c.Value
	}
	return clean(name)
}

// railsZones returns the Rails names for a tzdata name, best first.
func railsZones(tzdata string) []string {
	for line := range strings.SplitSeq(zoneTable, "\n") {
		rails, zones, _ := strings.Cut(line, "=")
		if slices.ContainsFunc(strings.Fields(zones), func(z string) bool { return strings.EqualFold(z, tzdata) }) {
			return strings.Split(rails, "|")
		}
	}
	return nil
}

// zoneTable is, by line, the Rails names of a zone and the tzdata names that mean it: the zone itself, then others whose
// clocks have agreed with it since 2010 (a test asks the tz database). A zone that is not here is not guessed.
// Source: Ruby on Rails, ActiveSupport::TimeZone; IANA tz database.
const zoneTable = `International Date Line West=Etc/GMT+12
American Samoa|Midway Island=Pacific/Pago_Pago Pacific/Midway Pacific/Samoa US/Samoa
Hawaii=Pacific/Honolulu Pacific/Johnston US/Hawaii HST
Alaska=America/Juneau America/Anchorage US/Alaska
Pacific Time (US & Canada)=America/Los_Angeles US/Pacific America/Vancouver Canada/Pacific PST8PDT
Tijuana=America/Tijuana America/Ensenada America/Santa_Isabel Mexico/BajaNorte
Mountain Time (US & Canada)=America/Denver America/Shiprock Navajo US/Mountain America/Edmonton America/Boise Canada/Mountain MST7MDT
Arizona=America/Phoenix US/Arizona MST America/Creston
Chihuahua=America/Chihuahua
Mazatlan=America/Mazatlan Mexico/BajaSur
Central Time (US & Canada)=America/Chicago US/Central America/Winnipeg Canada/Central CST6CDT
Saskatchewan=America/Regina Canada/Saskatchewan
Mexico City|Guadalajara=America/Mexico_City Mexico/General
Monterrey=America/Monterrey
Central America=America/Guatemala
Eastern Time (US & Canada)=America/New_York US/Eastern America/Toronto Canada/Eastern America/Detroit US/Michigan America/Montreal EST5EDT
Indiana (East)=America/Indiana/Indianapolis America/Indianapolis America/Fort_Wayne US/East-Indiana
Bogota=America/Bogota
Lima|Quito=America/Lima
Quito=America/Guayaquil
Atlantic Time (Canada)=America/Halifax Canada/Atlantic
Caracas=America/Caracas
La Paz=America/La_Paz
Georgetown=America/Guyana
Santiago=America/Santiago Chile/Continental
Puerto Rico=America/Puerto_Rico
Newfoundland=America/St_Johns Canada/Newfoundland
Brasilia=America/Sao_Paulo Brazil/East
Buenos Aires=America/Argentina/Buenos_Aires America/Buenos_Aires
Montevideo=America/Montevideo
Greenland=America/Nuuk America/Godthab
Mid-Atlantic=Atlantic/South_Georgia
Azores=Atlantic/Azores
Cape Verde Is.=Atlantic/Cape_Verde
Dublin=Europe/Dublin Eire
London|Edinburgh=Europe/London Europe/Belfast Europe/Guernsey Europe/Isle_of_Man Europe/Jersey GB GB-Eire
Lisbon=Europe/Lisbon Portugal
Casablanca=Africa/Casablanca
Monrovia=Africa/Monrovia
UTC=Etc/UTC UTC Etc/UCT UCT Etc/Universal Universal Etc/Zulu Zulu Etc/GMT GMT Etc/Greenwich Greenwich
Belgrade=Europe/Belgrade Europe/Podgorica
Bratislava=Europe/Bratislava
Budapest=Europe/Budapest
Ljubljana=Europe/Ljubljana
Prague=Europe/Prague
Sarajevo=Europe/Sarajevo
Skopje=Europe/Skopje
Warsaw=Europe/Warsaw Poland
Zagreb=Europe/Zagreb
Brussels=Europe/Brussels Europe/Luxembourg
Copenhagen=Europe/Copenhagen
Madrid=Europe/Madrid
Paris=Europe/Paris Europe/Monaco
Amsterdam=Europe/Amsterdam
Berlin=Europe/Berlin Europe/Oslo Arctic/Longyearbyen Atlantic/Jan_Mayen
Zurich|Bern=Europe/Zurich Europe/Busingen Europe/Vaduz
Rome=Europe/Rome Europe/San_Marino Europe/Vatican
Stockholm=Europe/Stockholm
Vienna=Europe/Vienna
West Central Africa=Africa/Algiers Africa/Lagos
Athens=Europe/Athens
Bucharest=Europe/Bucharest
Cairo=Africa/Cairo Egypt
Helsinki=Europe/Helsinki Europe/Mariehamn
Kyiv=Europe/Kyiv Europe/Kiev Europe/Uzhgorod Europe/Zaporozhye
Riga=Europe/Riga
Sofia=Europe/Sofia
Tallinn=Europe/Tallinn
Vilnius=Europe/Vilnius
Jerusalem=Asia/Jerusalem Asia/Tel_Aviv Israel
Harare=Africa/Harare Africa/Maputo Africa/Lusaka Africa/Kigali Africa/Gaborone
Pretoria=Africa/Johannesburg Africa/Maseru Africa/Mbabane
Kaliningrad=Europe/Kaliningrad
Istanbul=Europe/Istanbul Asia/Istanbul Turkey
Minsk=Europe/Minsk
Moscow|St. Petersburg=Europe/Moscow W-SU
Volgograd=Europe/Volgograd
Samara=Europe/Samara
Kuwait=Asia/Kuwait
Riyadh=Asia/Riyadh Asia/Aden
Nairobi=Africa/Nairobi Africa/Addis_Ababa Africa/Kampala Africa/Dar_es_Salaam Africa/Mogadishu
Baghdad=Asia/Baghdad
Tehran=Asia/Tehran Iran
Abu Dhabi|Muscat=Asia/Dubai Asia/Muscat
Baku=Asia/Baku
Tbilisi=Asia/Tbilisi
Yerevan=Asia/Yerevan
Kabul=Asia/Kabul
Ekaterinburg=Asia/Yekaterinburg
Karachi|Islamabad=Asia/Karachi
Tashkent=Asia/Tashkent
Kolkata|Chennai|Mumbai|New Delhi=Asia/Kolkata Asia/Calcutta
Sri Jayawardenepura=Asia/Colombo
Kathmandu=Asia/Kathmandu Asia/Katmandu
Almaty=Asia/Almaty
Dhaka=Asia/Dhaka Asia/Dacca
Urumqi=Asia/Urumqi Asia/Kashgar
Novosibirsk=Asia/Novosibirsk
Rangoon=Asia/Yangon Asia/Rangoon
Bangkok|Hanoi=Asia/Bangkok Asia/Ho_Chi_Minh Asia/Saigon Asia/Phnom_Penh Asia/Vientiane
Jakarta=Asia/Jakarta
Krasnoyarsk=Asia/Krasnoyarsk
Beijing|Chongqing=Asia/Shanghai Asia/Chongqing Asia/Chungking Asia/Harbin PRC
Hong Kong=Asia/Hong_Kong Hongkong
Kuala Lumpur=Asia/Kuala_Lumpur
Singapore=Asia/Singapore Singapore
Taipei=Asia/Taipei ROC
Perth=Australia/Perth Australia/West
Irkutsk=Asia/Irkutsk
Ulaanbaatar|Ulaan Bataar=Asia/Ulaanbaatar Asia/Ulan_Bator
Seoul=Asia/Seoul ROK
Tokyo|Osaka|Sapporo=Asia/Tokyo Japan
Yakutsk=Asia/Yakutsk
Darwin=Australia/Darwin Australia/North
Adelaide=Australia/Adelaide Australia/South
Sydney=Australia/Sydney Australia/ACT Australia/NSW
Canberra=Australia/Canberra
Melbourne=Australia/Melbourne Australia/Victoria
Brisbane=Australia/Brisbane Australia/Queensland
Hobart=Australia/Hobart Australia/Tasmania Australia/Currie
Vladivostok=Asia/Vladivostok
Guam=Pacific/Guam Pacific/Saipan
Port Moresby=Pacific/Port_Moresby
Magadan=Asia/Magadan
Srednekolymsk=Asia/Srednekolymsk
Solomon Is.=Pacific/Guadalcanal
New Caledonia=Pacific/Noumea
Fiji=Pacific/Fiji
Kamchatka=Asia/Kamchatka
Marshall Is.=Pacific/Majuro
Auckland|Wellington=Pacific/Auckland Antarctica/McMurdo NZ
Nuku'alofa=Pacific/Tongatapu
Tokelau Is.=Pacific/Fakaofo
Chatham Is.=Pacific/Chatham NZ-CHAT
Samoa=Pacific/Apia`
