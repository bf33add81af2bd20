"""The commands that expansion knows, and those that it leaves to LaTeX."""

DEFINERS = frozenset(
    "newcommand renewcommand providecommand DeclareRobustCommand newrobustcmd renewrobustcmd def gdef edef xdef let "
    "DeclareMathOperator DeclarePairedDelimiter DeclarePairedDelimiterX NewDocumentCommand RenewDocumentCommand "
    "ProvideDocumentCommand DeclareDocumentCommand NewExpandableDocumentCommand newenvironment renewenvironment @namedef "
    "newcommandx renewcommandx providecommandx DeclareRobustCommandx newenvironmentx renewenvironmentx "
    "NewDocumentEnvironment RenewDocumentEnvironment DeclareDocumentEnvironment".split()
)
PREFIXES = frozenset("global long outer protected".split())
SWITCH_DEFINERS = frozenset(
    "newif newboolean provideboolean setboolean newbool setbool newtoggle settoggle toggletrue togglefalse "
    "excludecomment includecomment".split()
)
CHOICES = {  # and how many arguments they take
    "@ifnextchar": 3, "kernel@ifnextchar": 3, "@ifstar": 2, "ensuremath": 1, "xspace": 0, "@xspace": 0, "@empty": 0,
    "@firstofone": 1, "@firstoftwo": 2, "@secondoftwo": 2, "@gobble": 1, "ifthenelse": 3, "ifbool": 3, "iftoggle": 3,
    "ifblank": 3, "ifstrempty": 3, "ifstrequal": 4, "IfValueTF": 3, "IfValueT": 2, "IfValueF": 2, "IfNoValueTF": 3,
    "IfNoValueT": 2, "IfNoValueF": 2, "IfBooleanTF": 3, "IfBooleanT": 2, "IfBooleanF": 2,
}  # fmt: skip
READERS = frozenset(  # of files
    "input include subfile subfileinclude InputIfFileExists import includefrom inputfrom subimport subincludefrom subinputfrom "
    "usepackage RequirePackage documentclass LoadClass documentstyle endinput".split()
)
ACTIVE = (
    DEFINERS
    | PREFIXES
    | SWITCH_DEFINERS
    | READERS
    | CHOICES.keys()
    | {"begin", "end", "makeatletter", "makeatother", "csname", "expandafter"}
)
PROGRAM = frozenset(
    "futurelet expandafter catcode loop repeat afterassignment aftergroup csname noexpand else or fi newcount newdimen "
    "uppercase lowercase ExplSyntaxOn directlua scantokens".split()
) - {"else", "or", "fi"}
INTERNAL = frozenset({"@"})  # commands with @ that are no program
# Structure that later steps look for, and LaTeX that must stay LaTeX whatever a paper's preamble does to it.
PROTECTED = frozenset(
    "part chapter section subsection subsubsection paragraph subparagraph appendix begin end documentclass input "
    "include subfile bibliography bibliographystyle printbibliography bibitem cite citep citet ref eqref label "
    "caption footnote item maketitle title author abstract url href par newline the thefootnote thesection "
    "thesubsection theequation thefigure thetable thepage baselinestretch arraystretch refname abstractname "
    "figurename tablename contentsname bibname proofname labelitemi labelenumi qedsymbol today date "
    # TeX's own commands
    "left right middle mathop mathbin mathrel mathopen mathclose mathord mathpunct mathchoice hbox vbox vtop hskip vskip "
    "kern mkern hrule vrule hfill vfill noindent indent over atop above overline underline accent char radical limits "
    "nolimits displaystyle textstyle scriptstyle scriptscriptstyle penalty raise lower relax fi else or halign valign "
    "csname endcsname expandafter halign cr span omit noalign leavevmode endinput".split()
)
ENVIRONMENTS = frozenset(
    "document abstract figure table equation align gather multline itemize enumerate description center quote quotation "
    "tabular array thebibliography appendix appendices verbatim lstlisting tikzpicture".split()
)
