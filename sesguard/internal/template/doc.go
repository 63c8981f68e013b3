// Package template reads the language of SES's email templates, so that a
// variable without a value is found before SES accepts a mail that it will
// never send. It needs the standard library only.
//
// # The language
//
// SES's templates are Handlebars ("Advanced email personalization", Amazon SES
// Developer Guide, which refers to "Built-in Helpers" of handlebarsjs.com):
//
//	{{a.b}}, {{a/b}}, {{[odd key]}}   a value; {{{a.b}}} and {{&a.b}} are the same, since SES escapes nothing
//	{{l.[0]}}                         an item of a list
//	{{this}}, {{.}}, {{../a}}         the present context, and a path from the one around it
//	{{@index}}, {{@key}}              inside each; also @first, @last and @root
//	{{#if a}} {{else if b}} {{else}} {{/if}}
//	{{#unless a}}, {{#with a}}, {{#each a}}, {{#a}}, {{^a}}
//	{{#each a as |item key|}}         names for what each and with give
//	{{#* inline "n"}} {{/inline}}     an inline partial, called by {{> n}} or {{> n context key=value}}
//	{{lookup a "b"}}, {{log a}}       the built-in helpers that are no blocks
//	{{! }}, {{!-- --}}                comments
//	{{~a~}}                           without the white space beside it
//	\{{                               two braces
//
// Subject, text and HTML of a mail are templates of their own and share no
// partials. The words amazonSESUnsubscribeUrl and ses:openTracker belong to SES:
// they are never missing, whatever the data holds, and stay in the result of
// [Template.Execute] as they stand.
//
// What else Handlebars has is an error of [Parse] that names it: partials with a
// body, partials whose name is computed, raw blocks, decorators, and helpers that
// a program would add. A line that holds nothing but a tag stays: it is not known
// whether SES takes it away, as Handlebars does.
//
// # What is missing
//
// A path whose value is absent or null fails the mail when SES comes to it. What
// if, unless, with, each, lookup, a section or a partial is applied to may be
// absent. So [Template.Check] walks the way that the data opens, and reports what
// lies on it.
//
// # Hostile templates
//
// Parse takes time in proportion to the text. Blocks, partials and expressions
// nest 1,000 deep; an execution visits 1,000,000 parts of a template and makes 40
// MB, SES's limit of a message; a check reports at most 100 problems. What goes
// beyond is an error or a problem, never a panic.
package template
