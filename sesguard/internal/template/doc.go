// Package template reads the language of SES's email templates, so that a
// variable without a value is found before SES accepts a mail that it will
// never send. It needs the standard library only.
//
// # The language
//
// SES's templates are Handlebars ("Advanced email personalization", Amazon SES
// Developer Guide):
//
//	{{a.b}}, {{a/b}}, {{[odd key]}}   a value; {{{a.b}}} and {{&a.b}} are the same, since SES escapes nothing
//	{{this}}, {{.}}, {{../a}}         the present context, and a path from the one around it
//	{{@index}}, {{@key}}              inside each; also @first, @last and @root
//	{{#if a}} {{else if b}} {{else}} {{/if}}
//	{{#unless a}}, {{#with a}}, {{#each a}}, {{#a}}, {{^a}}
//	{{#each a as |item key|}}         names for what each and with give
//	{{#* inline "n"}} {{/inline}}     an inline partial, called by {{> n}}, {{> n context key=value}} or {{#> n}} {{/n}}
//	{{lookup a "b"}}, {{log a}}       the built-in helpers that are no blocks
//	{{! }}, {{!-- --}}                comments
//	{{~a~}}                           without the white space beside it; a tag of a block, a comment or a partial that has a line for itself takes the line with it
//	\{{                               two braces
//
// Subject, text and HTML of a mail are templates of their own and share no
// partials. The words amazonSESUnsubscribeUrl and ses:openTracker belong to SES:
// they are never missing, whatever the data holds, and stay in the result of
// [Template.Execute] as they stand.
//
// # What is missing
//
// A path whose value is absent or null fails the mail when SES comes to it. The
// test of if, unless, with, each and of a section may be absent: it counts as
// false. So [Template.Check] walks the way that the data opens, and reports what
// lies on it.
//
// # Hostile templates
//
// Parse takes time in proportion to the text. Blocks, partials and expressions
// nest 1,000 deep; an execution visits 1,000,000 parts of a template and makes 40
// MB, SES's limit of a message; a check reports at most 100 problems. What goes
// beyond is an error or a problem, never a panic.
package template
