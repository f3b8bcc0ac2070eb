package sandbox

// timeZones are the zones a contact can have: the names Ruby on Rails uses, with the offsets shown beside them. IANA
// names ("Europe/Berlin") are refused. Source: the choices of time_zone in a recorded answer of the field metadata.
var timeZones = []struct { //nolint:gochecknoglobals // a table nobody writes to
	offset string
	names  []string
}{
	{"-11:00", []string{"American Samoa", "International Date Line West", "Midway Island"}},
	{"-10:00", []string{"Hawaii"}},
	{"-09:00", []string{"Alaska"}},
	{"-08:00", []string{"Pacific Time (US & Canada)", "Tijuana"}},
	{"-07:00", []string{"Arizona", "Chihuahua", "Mazatlan", "Mountain Time (US & Canada)"}},
	{"-06:00", []string{"Central America", "Central Time (US & Canada)", "Guadalajara", "Mexico City", "Monterrey", "Saskatchewan"}},
	{"-05:00", []string{"Bogota", "Eastern Time (US & Canada)", "Indiana (East)", "Lima", "Quito"}},
	{"-04:00", []string{"Atlantic Time (Canada)", "Caracas", "Georgetown", "La Paz"}},
	{"-03:30", []string{"Newfoundland"}},
	{"-03:00", []string{"Santiago", "Brasilia", "Buenos Aires", "Greenland"}},
	{"-02:00", []string{"Mid-Atlantic"}},
	{"-01:00", []string{"Azores", "Cape Verde Is."}},
	{"+00:00", []string{"Dublin", "Edinburgh", "Lisbon", "London", "Monrovia", "UTC"}},
	{"+01:00", []string{
		"Amsterdam", "Belgrade", "Berlin", "Bern", "Bratislava", "Brussels", "Budapest", "Casablanca",
		"Copenhagen", "Ljubljana", "Madrid", "Paris", "Prague", "Rome", "Sarajevo", "Skopje", "Stockholm", "Vienna",
		"Warsaw", "West Central Africa", "Zagreb",
	}},
	{"+02:00", []string{
		"Athens", "Bucharest", "Cairo", "Harare", "Helsinki", "Jerusalem", "Kyiv", "Pretoria", "Riga",
		"Sofia", "Tallinn", "Vilnius",
	}},
	{"+03:00", []string{"Baghdad", "Istanbul", "Kuwait", "Minsk", "Moscow", "Nairobi", "Riyadh", "St. Petersburg", "Volgograd"}},
	{"+03:30", []string{"Tehran"}},
	{"+04:00", []string{"Abu Dhabi", "Baku", "Muscat", "Tbilisi", "Yerevan"}},
	{"+04:30", []string{"Kabul"}},
	{"+05:00", []string{"Ekaterinburg", "Islamabad", "Karachi", "Tashkent"}},
	{"+05:30", []string{"Chennai", "Kolkata", "Mumbai", "New Delhi", "Sri Jayawardenepura"}},
	{"+05:45", []string{"Kathmandu"}},
	{"+06:00", []string{"Almaty", "Astana", "Dhaka", "Urumqi"}},
	{"+06:30", []string{"Rangoon"}},
	{"+07:00", []string{"Bangkok", "Hanoi", "Jakarta", "Krasnoyarsk", "Novosibirsk"}},
	{"+08:00", []string{
		"Beijing", "Chongqing", "Hong Kong", "Irkutsk", "Kuala Lumpur", "Perth", "Singapore", "Taipei",
		"Ulaan Bataar",
	}},
	{"+09:00", []string{"Osaka", "Sapporo", "Seoul", "Tokyo", "Yakutsk"}},
	{"+09:30", []string{"Darwin"}},
	{"+10:00", []string{"Brisbane", "Guam", "Port Moresby", "Vladivostok"}},
	{"+10:30", []string{"Adelaide"}},
	{"+11:00", []string{"Canberra", "Hobart", "Magadan", "Melbourne", "New Caledonia", "Solomon Is.", "Sydney"}},
	{"+12:00", []string{"Kamchatka", "Marshall Is."}},
	{"+13:00", []string{"Auckland", "Fiji", "Nuku'alofa", "Tokelau Is.", "Wellington"}},
	{"+14:00", []string{"Samoa"}},
}

func timeZoneChoices() []choice {
	var choices []choice
	for _, zone := range timeZones {
		for _, name := range zone.names {
			choices = append(choices, choice{ID: name, Value: "(GMT" + zone.offset + ") " + name, Position: len(choices) + 1})
		}
	}
	return choices
}
