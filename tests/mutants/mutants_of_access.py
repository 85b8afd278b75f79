"""Who may ask what, without its guards."""

from __future__ import annotations

from mutant import Mutant

OF_ACCESS, OF_SEEN, OF_TOKENS = (f"tests/serving/test_{n}.py" for n in ("access", "seen", "tokens"))
OF_PAGE = "tests/serving/test_page.py"
TURNED_AWAY = f"{OF_ACCESS}::test_without_a_good_key_nothing_is_said_but_that_the_process_is_up"
ALIKE = f"{OF_SEEN}::test_what_differs_under_a_mask_alone_is_answered_alike"
NO_OTHER = f"{OF_TOKENS}::test_no_other_token_opens_anything"

ACCESS = [
    Mutant("access", "a key with another secret opens", "shared/keys.py",
           "return hmac.compare_digest(hashed(text, pepper), key.hash)", "return True", TURNED_AWAY),
    Mutant("access", "a key that has ended opens", "shared/access.py", " or not key.good(now)", "", TURNED_AWAY),
    Mutant("access", "who is not known comes in", "serving/door.py",
           "        if who is None:\n", "        who = who or ANYBODY\n        if who is None:\n", TURNED_AWAY),
    Mutant("access", "a view that is not granted is answered", "serving/service.py",
           "view = self.store.view(name) if who.grant(name) else None", "view = self.store.view(name)",
           f"{OF_ACCESS}::test_each_sees_the_views_of_its_grants_and_no_sign_of_others"),
    Mutant("access", "a list has the views of others", "serving/service.py",
           "sorted(self.store.views.items()) if who.grant(name)}", "sorted(self.store.views.items())}",
           f"{OF_ACCESS}::test_each_sees_the_views_of_its_grants_and_no_sign_of_others"),
    Mutant("access", "the status has the views of others", "serving/service.py",
           "views = [*self.views(who).values()]", "views = [*self.store.views.values()]",
           "tests/serving/test_status.py::test_each_sees_how_the_views_of_its_grants_stand_and_no_others"),
    Mutant("access", "what is in a view becomes part of the page", "serving/page/page.js",
           "made.append(...children);\n  return made;\n}\n\nfunction drawn",
           "for (const c of children) c.nodeType ? made.append(c) : (made.innerHTML += c);"
           "\n  return made;\n}\n\nfunction drawn",
           f"{OF_PAGE}::test_what_a_key_holds_is_text_and_runs_nothing"),
    Mutant("access", "the page runs scripts of others", "serving/page/__init__.py",
           "default-src 'none'; script-src 'self';", "default-src *; script-src 'self' 'unsafe-inline';",
           f"{OF_PAGE}::test_the_page_lets_in_no_script_of_others"),
    Mutant("access", "the page forgets no key", "serving/page/page.js", "  sessionStorage.removeItem(KEY);\n", "",
           f"{OF_PAGE}::test_a_key_is_asked_for_kept_in_the_tab_and_shows_its_view_alone"),
    Mutant("access", "whoever reads sees how the server stands", "serving/routes.py",
           'if not _who(request).may("operate"):', "if False:",
           f"{OF_ACCESS}::test_how_the_server_stands_is_for_who_operates_it"),
    Mutant("access", "a question of one is understood as that of another", "serving/view.py",
           'raw = raw if seen.whole else f"{seen.digest} {raw}"', "raw = str(raw)",
           f"{OF_ACCESS}::test_an_answer_for_one_is_never_given_to_another"),
    Mutant("access", "columns are seen as they are stored", "serving/seen.py",
           "        if mask is None:\n            return", "        if True:\n            return", ALIKE),
    Mutant("access", "a masked measure is shown", "serving/seen.py",
           'return measure.partition(".")[0] in self.masks', "return False", ALIKE),
    Mutant("access", "an answer of then is shown unmasked", "serving/routes.py",
           "query.plan(s, fields, serving.seen(view, who, s))", "query.plan(s, fields)",
           f"{OF_SEEN}::test_a_grant_of_then_is_that_of_now"),
    Mutant("access", "rows beside those of the grant are answered", "serving/rows.py",
           "for c in seen.only])", "for c in ()])", f"{OF_SEEN}::test_rows_of_a_grant_are_all_there_is"),
    Mutant("access", "small groups count", "serving/rows.py", "if not seen.floor:", "if True:",
           f"{OF_SEEN}::test_groups_below_the_floor_are_in_no_answer_not_even_in_a_total"),
    Mutant("access", "a hash can be made by who knows the value", "serving/seen.py",
           "sha256(concat(?, CAST({column} AS VARCHAR)))", "sha256(concat(left(?, 0), CAST({column} AS VARCHAR)))",
           f"{OF_SEEN}::test_a_hash_is_the_same_for_the_same_value_and_needs_the_secret"),
    Mutant("access", "a token need not say what it must", "serving/tokens.py",
           'options={"require": REQUIRED}', "options={}", NO_OTHER),
    Mutant("access", "a token of any length is read", "serving/tokens.py",
           "or len(text) > LONGEST", "", NO_OTHER),
    Mutant("access", "whoever asks with an unknown kid makes us ask the issuer", "serving/tokens.py",
           "and age >= AGAIN_S)", ")",
           f"{OF_TOKENS}::test_keys_are_fetched_once_however_many_unknown_ones_are_asked_for"),
    Mutant("access", "others than this machine are served without keys", "shared/settings.py",
           "if not (access.required or is_loopback(host)):", "if False:",
           "tests/shared/test_settings.py::test_what_cannot_be_used_is_refused_with_its_place"),
]  # fmt: skip
