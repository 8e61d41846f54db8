"""What is said in the `mini` corpus: the commands and the words that fill them. Data only; grammar.py
gives it rules.

A template is a line of capitals. `(A|B)` picks one wording; `{SLOT}` is filled from SLOTS. Only fillers
count as parts of a combination (see grammar.py). Every template has two slots or more, or there would be
nothing to combine. Words that sound the same are avoided, except TO / TWO and FOR / FOUR; words that sound
alike are sought (FIFTEEN / FIFTY, TUESDAY / THURSDAY, KITCHEN / CHICKEN, ANNA / HANNAH).
"""

from __future__ import annotations

_ONES = "ONE TWO THREE FOUR FIVE SIX SEVEN EIGHT NINE".split()
_TEENS = "TEN ELEVEN TWELVE THIRTEEN FOURTEEN FIFTEEN SIXTEEN SEVENTEEN EIGHTEEN NINETEEN".split()
_TENS = "TWENTY THIRTY FORTY FIFTY SIXTY SEVENTY EIGHTY NINETY".split()


def spell(number: int) -> str:
    """`number`, 1 to 100, in words: 47 -> FORTY SEVEN."""
    if not 1 <= number <= 100:
        raise ValueError(f"can spell 1 to 100, not {number}")
    if number == 100:
        return "ONE HUNDRED"
    if number < 10:
        return _ONES[number - 1]
    if number < 20:
        return _TEENS[number - 10]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f" {_ONES[ones - 1]}" if ones else "")


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


SLOTS: dict[str, list[str]] = {
    "ROOM": _list("KITCHEN, BATHROOM, BEDROOM, LIVING ROOM, GARAGE, HALLWAY, OFFICE, GARDEN, BASEMENT"),
    "DEVICE": _list("LIGHT, LAMP, FAN, HEATER, SPEAKER, CAMERA, RADIO, TELEVISION"),
    "COVER": _list("BLINDS, CURTAINS, WINDOW, DOOR"),
    "COLOR": _list("RED, GREEN, BLUE, WHITE, ORANGE, YELLOW"),
    "PERCENT": [spell(n) for n in range(10, 101, 10)],
    "DEGREES": [spell(n) for n in range(12, 31)],
    "GENRE": _list("JAZZ, ROCK, POP, PIANO"),
    "OCCASION": _list("BREAKFAST, DINNER, READING, SLEEPING"),
    "TRACK": _list("SONG, ALBUM, PODCAST, CHAPTER"),
    "WHICH": _list("NEXT, PREVIOUS, LAST"),
    "HOUR": [spell(n) for n in range(1, 13)],
    "MINUTE": [spell(n) for n in range(10, 60, 5)],
    "HALF": _list("IN THE MORNING, IN THE AFTERNOON, IN THE EVENING, AT NIGHT"),
    "COUNT": [spell(n) for n in range(2, 13)],
    "AMOUNT": [spell(n) for n in [*range(2, 20), *range(20, 61, 10)]],
    "SPAN": _list("SECONDS, MINUTES, HOURS"),
    "FOOD": _list("PASTA, RICE, CHICKEN, COFFEE, TEA"),
    "NAME": _list("ANNA, HANNAH, DANIEL, JOHN, MARY, PETER, SARAH, OLIVER"),
    "RELATION": _list("MOTHER, FATHER, SISTER, BROTHER, DOCTOR"),
    "PHONE": _list("AT HOME, AT WORK, ON VIDEO"),
    "NEWS": _list("I AM LATE, I AM ON MY WAY, I WILL CALL LATER"),
    "PLACE": _list("AIRPORT, TRAIN STATION, HOSPITAL, LIBRARY, SCHOOL, SUPERMARKET"),
    "ROUTE": _list("AVOIDING HIGHWAYS, WITHOUT TRAFFIC, ON FOOT"),
    "ITEM": _list("MILK, BUTTER, CHEESE, CHICKEN, RICE, TOMATOES, COFFEE, EGGS, PASTA"),
    "PACK": _list("BOTTLES OF, BAGS OF, BOXES OF"),
    "DAY": _list("MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY"),
    "WHEN": _list("TODAY, TONIGHT, TOMORROW, ON MONDAY, ON TUESDAY, ON THURSDAY, ON SUNDAY"),
    "SKY": _list("RAIN, SNOW, WIND"),
    "ASK_SKY": _list("RAINY, SUNNY, WINDY, COLD"),
    "CITY": _list("LONDON, PARIS, BERLIN, BOSTON, DUBLIN"),
    "EVENT": _list("MEETING, DINNER, PARTY, FLIGHT"),
    "MACHINE": _list("OVEN, DISHWASHER, WASHING MACHINE, KETTLE, VACUUM"),
    "LETTER": _list(
        "ALPHA, BRAVO, CHARLIE, DELTA, ECHO, FOXTROT, GOLF, HOTEL, INDIA, JULIET, KILO, LIMA, MIKE, NOVEMBER, OSCAR, "
        "PAPA, QUEBEC, ROMEO, SIERRA, TANGO, UNIFORM, VICTOR, WHISKEY, XRAY, YANKEE, ZULU"
    ),
    "DIGIT": ["ZERO", *_ONES],
    "TENS": _TENS,
    "TASK": _list("WATER THE PLANTS, FEED THE CAT, WALK THE DOG, LOCK THE DOOR"),
}

# One list a domain; a domain is drawn first, then a template, so that no domain drowns the others.
TEMPLATES: dict[str, list[str]] = {
    "lights": [
        "(TURN|SWITCH) (ON|OFF) THE {ROOM} {DEVICE}",
        "(TURN|SWITCH) THE {DEVICE} IN THE {ROOM} (ON|OFF)",
        "(DIM|SET) THE {ROOM} {DEVICE} TO {PERCENT} PERCENT",
        "(MAKE|TURN) THE LIGHTS IN THE {ROOM} {COLOR}",
        "CHANGE THE {ROOM} LIGHTS TO {COLOR} AT {PERCENT} PERCENT",
        "IS THE {DEVICE} IN THE {ROOM} STILL (ON|OFF)",
    ],
    "covers": [
        "(OPEN|CLOSE) THE {ROOM} {COVER}",
        "(OPEN|CLOSE) THE {COVER} IN THE {ROOM} AT {HOUR} {HALF}",
        "(RAISE|LOWER) THE {ROOM} {COVER} TO {PERCENT} PERCENT",
    ],
    "climate": [
        "SET THE {ROOM} TO {DEGREES} DEGREES",
        "(HEAT|COOL) THE {ROOM} TO {DEGREES} DEGREES (BY|AT) {HOUR} {HALF}",
        "KEEP THE {ROOM} (ABOVE|BELOW) {DEGREES} DEGREES {WHEN}",
        "WHAT'S THE TEMPERATURE IN THE {ROOM} {WHEN}",
    ],
    "music": [
        "PLAY SOME {GENRE} (MUSIC|) IN THE {ROOM}",
        "PLAY {GENRE} MUSIC FOR {OCCASION}",
        "PLAY THE {WHICH} {TRACK} IN THE {ROOM}",
        "SKIP TO THE {WHICH} {TRACK}",
        "SET THE VOLUME IN THE {ROOM} TO {PERCENT} PERCENT",
        "SHUFFLE MY {OCCASION} PLAYLIST IN THE {ROOM}",
        "ADD THIS {TRACK} TO MY {OCCASION} PLAYLIST",
    ],
    "timers": [
        "SET A TIMER FOR {AMOUNT} {SPAN}",
        "START A {FOOD} TIMER FOR {AMOUNT} {SPAN}",
        "ADD {AMOUNT} {SPAN} TO THE {FOOD} TIMER",
        "WAKE ME (UP|) AT {HOUR} {MINUTE} {HALF}",
        "SET AN ALARM FOR {HOUR} {MINUTE} ON {DAY}",
        "CANCEL (MY|THE) {DAY} ALARM AT {HOUR} {MINUTE}",
    ],
    "calls": [
        "CALL {NAME} {PHONE}",
        "CALL MY {RELATION} {PHONE}",
        "CALL {NAME} AND THEN MY {RELATION}",
        "TELL {NAME} {NEWS}",
        "SEND A MESSAGE TO MY {RELATION} SAYING {NEWS}",
        "READ THE {WHICH} MESSAGE FROM {NAME}",
    ],
    "navigation": [
        "(TAKE|DRIVE|GUIDE) ME TO THE {PLACE} {ROUTE}",
        "HOW FAR IS IT FROM THE {PLACE} TO {CITY}",
        "HOW LONG DOES IT TAKE TO (REACH|GET TO) THE {PLACE} {ROUTE}",
        "FIND THE NEAREST {PLACE} IN {CITY}",
    ],
    "shopping": [
        "ADD {COUNT} {PACK} {ITEM} TO (MY|THE) SHOPPING LIST",
        "BUY {ITEM} AND {COUNT} {PACK} {FOOD}",
        "REMOVE {ITEM} FROM THE SHOPPING LIST FOR {DAY}",
        "ORDER {COUNT} {PACK} {ITEM} FOR {DAY}",
        "HOW MANY {PACK} {ITEM} ARE (LEFT|ON THE LIST)",
    ],
    "weather": [
        "WHAT'S THE WEATHER (LIKE|) IN {CITY} {WHEN}",
        "WILL THERE BE {SKY} IN {CITY} {WHEN}",
        "IS IT {ASK_SKY} IN {CITY}",
        "WARN ME ABOUT {SKY} NEAR THE {PLACE}",
        "HOW {ASK_SKY} WILL IT BE {WHEN} {HALF}",
    ],
    "calendar": [
        "PUT A {EVENT} WITH {NAME} ON {DAY} AT {HOUR}",
        "MOVE (MY|THE) {EVENT} TO {DAY} AT {HOUR} {MINUTE}",
        "WHEN IS MY {EVENT} WITH {NAME}",
        "REMOVE THE {EVENT} WITH MY {RELATION} FROM THE CALENDAR",
        "CANCEL THE {EVENT} IN {CITY} ON {DAY}",
    ],
    "machines": [
        "(START|STOP|PAUSE) THE {MACHINE} IN THE {ROOM}",
        "(START|STOP|PAUSE) THE {MACHINE} AT {HOUR} {MINUTE}",
        "TURN (ON|OFF) THE {MACHINE} IN {AMOUNT} {SPAN}",
        "HEAT THE {FOOD} TO {PERCENT} DEGREES FOR {AMOUNT} {SPAN}",
        "RUN THE {MACHINE} FOR {AMOUNT} {SPAN} {WHEN}",
    ],
    "codes": [
        "{LETTER} {LETTER} {DIGIT} {DIGIT} {LETTER}",
        "{DIGIT} {LETTER} {DIGIT} {LETTER}",
        "{LETTER} {TENS} {LETTER} {DIGIT}",
        "{TENS} {DIGIT} {LETTER} {LETTER}",
        "{DIGIT} {DIGIT} {DIGIT} {TENS} {LETTER}",
        "{LETTER} {DIGIT} {TENS} {TENS}",
    ],
    "reminders": [
        "REMIND ME TO {TASK} {WHEN}",
        "REMIND {NAME} TO {TASK} AT {HOUR} {HALF}",
        "DON'T LET ME FORGET TO {TASK} ON {DAY}",
        "ASK MY {RELATION} TO {TASK} {WHEN}",
    ],
}
