using System.Collections.Immutable;

namespace Ka.Core.Faults;

/// <summary>Codes of findings in what a person wrote: documents and node sets. Each finding names its own place and what was expected.</summary>
static class DocumentCodes
{
    public static readonly ImmutableArray<FaultExplanation> All =
    [
        // Keys and values of any document.
        Of("document.missing_key", "A key that must be there is missing.", "Add the key at the place named."),
        Of("document.unknown_key", "A key is not one of those that may stand here.", "Correct its spelling or remove it; the finding lists the keys there are."),
        Of("document.wrong_kind", "A text, a list or a mapping stands where another of the three is expected.", "Write what the finding expects, as samples/site shows."),
        Of("document.wrong_value", "A value is not of the form, or not within the limits, of its key.", "Write a value as the finding expects it."),
        Of("document.empty", "A text is empty where it must not be.", "Write the value, or leave the key out if it may be left out."),

        // YAML itself: a document may only cost so much, and may not say one thing in two ways.
        Of("yaml.syntax", "The text is not YAML.", "Mend the line named; indentation and unclosed brackets are the usual causes."),
        Of("yaml.control_character", "A control character stands in the document.", "Save the file as plain UTF-8 text."),
        Of("yaml.duplicate_key", "A key stands twice in one mapping.", "Remove one of the two."),
        Of("yaml.key_not_text", "A key is a list or a mapping.", "Write a plain text as the key."),
        Of("yaml.second_document", "A second document begins in the file.", "Keep one document in a file."),
        Of("yaml.alias", "An alias (*name) is used; aliases are not read, because they can make a small text huge.", "Write the value out."),
        Of("yaml.anchor", "An anchor (&name) is used; anchors are not read.", "Remove the anchor."),
        Of("yaml.tag", "A tag (!name) is used; tags are not read.", "Remove the tag."),
        Of("yaml.merge_key", "A merge key (<<) is used; merge keys are not read.", "Write the keys out."),
        Of("yaml.too_long", "The document or a text in it is longer than the limit.", "Split the document; a cluster can have a file of its own."),
        Of("yaml.too_deep", "Lists and mappings are nested deeper than the limit.", "Write the document flatter."),
        Of("yaml.too_many", "The document has more values than the limit.", "Split the document; a cluster can have a file of its own."),

        // Group files.
        Of("groups.duplicate_source", "The same group source stands in two files.", "Keep each source in one file."),

        // Node sets.
        Of("nodeset.syntax", "The text is not a node set: a bracket or an operand is missing.", "Write it as node[1-4,7],other!node3; try it with: ka nodes expand TEXT."),
        Of("nodeset.bad_range", "A range cannot be read.", "Write ranges such as 1-9, 01-72 or 0-98/2."),
        Of("nodeset.bad_name", "A node or group has a name that cannot be one.", "Use letters, digits, '.', '-' and '_', beginning with a letter or digit."),
        Of("nodeset.ambiguous", "Digits touch a range whose ends differ in length, so that two readings are possible.", "Write the whole numbers inside the brackets."),
        Of("nodeset.too_many", "The text makes more nodes than the limit.", "Name fewer nodes, or raise limits.nodes in ka.yaml."),
        Of("nodeset.too_long", "The text of the node set is longer than the limit.", "Use ranges or a group."),
        Of("nodeset.unknown_group", "There is no such group.", "Correct its name, or define it in a file of 'groups.files' in ka.yaml."),
        Of("nodeset.group_cycle", "Groups are defined by each other in a circle.", "Give one of them a definition of its own."),
        Of("nodeset.no_universe", "Wildcards and @* are used where the list of all nodes is not known.", "Name the nodes."),
    ];

    static FaultExplanation Of(string code, string meaning, string next) => new(new FaultCode(code), meaning, next);
}
