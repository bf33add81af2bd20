"""Texts of licences, shortened, for the tests."""

MIT = """MIT License

Copyright (c) 2020 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND.
"""
BSD2 = """Copyright 2020 Somebody. All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:
 * Redistributions of source code must retain the above copyright notice.
THIS SOFTWARE IS PROVIDED "AS IS".
"""
BSD3 = BSD2 + "Neither the name of X nor the names of its contributors may be used to endorse or promote products.\n"
BSD4 = BSD3 + "All advertising materials mentioning features of this software must display an acknowledgement.\n"
APACHE = "                Apache License\n          Version 2.0, January 2004\n  TERMS AND CONDITIONS FOR USE, REPRODUCTION\n"
GPL3 = """GNU GENERAL PUBLIC LICENSE
Version 3, 29 June 2007
Everyone is permitted to copy and distribute verbatim copies of this license document. See also
the GNU Affero General Public License and the GNU Lesser General Public License."""
LGPL = GPL3.replace("GNU GENERAL", "GNU LESSER GENERAL", 1).replace("Version 3", "Version 2.1")
AGPL = GPL3.replace("GNU GENERAL", "GNU AFFERO GENERAL", 1)
ISC = """Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby
granted, provided that the above copyright notice and this permission notice appear in all copies."""
