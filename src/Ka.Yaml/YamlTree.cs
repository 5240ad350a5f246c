using System.Collections.Immutable;
using Ka.Core.Documents;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Ka.Yaml;

/// <summary>Builds the tree from events with a stack of its own, counting as it goes.</summary>
internal sealed class YamlTree(YamlLimits limits)
{
    private readonly Stack<Open> _open = new();
    private readonly ImmutableArray<DocumentError>.Builder _errors = ImmutableArray.CreateBuilder<DocumentError>();
    private int _nodes;
    private int _documents;

    public YamlNode? Root { get; private set; }

    public ImmutableArray<DocumentError> Errors => _errors.ToImmutable();

    public void Refuse(string code, Location at, string message, string? offending = null, string? next = null)
    {
        if (_errors.Count < limits.Errors)
        {
            _errors.Add(new(code, at, message, offending, Next: next));
        }
    }

    /// <summary>Takes one event; false when reading must stop.</summary>
    public bool Add(ParsingEvent step, Location at)
    {
        switch (step)
        {
            case DocumentStart when ++_documents > 1:
                Refuse("yaml.second_document", at, "a second document ('---') begins here", next: "keep one document in a file");
                return false;
            case AnchorAlias alias:
                Refuse("yaml.alias", at, $"aliases ('*{Short(alias.Value.Value)}') are not read here", next: "write the value out");
                return Put(new YamlScalar(at, "", true), at);
            case Scalar scalar:
                CheckProperties(scalar, at);
                return AddScalar(scalar, at);
            case SequenceStart sequence:
                CheckProperties(sequence, at);
                return Begin(new Open(at, isMapping: false));
            case MappingStart mapping:
                CheckProperties(mapping, at);
                return Begin(new Open(at, isMapping: true));
            case SequenceEnd or MappingEnd:
                return Put(_open.Pop().Close(), at);
            default:
                return true;
        }
    }

    private static string Short(string name) => name.Length <= 40 ? name : name[..39] + "…";

    private void CheckProperties(NodeEvent node, Location at)
    {
        if (!node.Anchor.IsEmpty)
        {
            Refuse("yaml.anchor", at, $"anchors ('&{Short(node.Anchor.Value)}') are not read here", next: "remove the anchor");
        }

        if (!node.Tag.IsEmpty)
        {
            var tag = node.Tag.IsNonSpecific ? "!" : node.Tag.Value;
            Refuse("yaml.tag", at, $"tags ('{Short(tag)}') are not read here", next: "remove the tag; quotes make a text");
        }
    }

    private bool AddScalar(Scalar scalar, Location at)
    {
        if (scalar.Value.Length > limits.ScalarCharacters)
        {
            Refuse("yaml.too_long", at, $"this text has {scalar.Value.Length:N0} characters, the limit is {limits.ScalarCharacters:N0}", scalar.Value);
            return false;
        }

        return Put(new YamlScalar(at, scalar.Value, scalar.Style == ScalarStyle.Plain), at);
    }

    private bool Begin(Open open)
    {
        if (_open.Count >= limits.Depth)
        {
            Refuse("yaml.too_deep", open.At, $"more than {limits.Depth} lists and mappings inside each other");
            return false;
        }

        _open.Push(open);
        return true;
    }

    private bool Put(YamlNode node, Location at)
    {
        if (++_nodes > limits.Nodes)
        {
            Refuse("yaml.too_many", at, $"the document has more than {limits.Nodes:N0} values");
            return false;
        }

        if (_open.Count == 0)
        {
            Root = node;
            return true;
        }

        var parent = _open.Peek();
        if (!parent.IsMapping)
        {
            parent.Items.Add(node);
        }
        else if (parent.ExpectsKey)
        {
            TakeKey(parent, node);
        }
        else
        {
            parent.AddValue(node);
        }

        return true;
    }

    private void TakeKey(Open parent, YamlNode node)
    {
        var key = node as YamlScalar;
        if (key is null)
        {
            Refuse("yaml.key_not_text", node.At, "a key must be a text, this one is a list or a mapping");
        }
        else if (key is { IsPlain: true, Text: "<<" })
        {
            Refuse("yaml.merge_key", key.At, "merge keys ('<<') are not read here", next: "write the keys out");
        }
        else if (!parent.Keys.TryAdd(key.Text, key.At))
        {
            var first = parent.Keys[key.Text];
            Refuse("yaml.duplicate_key", key.At, $"the key '{DocumentError.Cut(key.Text)}' stands twice, first at {first}", key.Text, "remove one of the two");
        }

        parent.Key = key ?? new YamlScalar(node.At, "", false);
        parent.ExpectsKey = false;
    }

    /// <summary>A list or mapping whose end has not come yet.</summary>
    private sealed class Open(Location at, bool isMapping)
    {
        private readonly ImmutableArray<YamlEntry>.Builder _entries = ImmutableArray.CreateBuilder<YamlEntry>();

        public Location At => at;

        public bool IsMapping => isMapping;

        public bool ExpectsKey { get; set; } = true;

        public YamlScalar? Key { get; set; }

        public Dictionary<string, Location> Keys { get; } = new(StringComparer.Ordinal);

        public ImmutableArray<YamlNode>.Builder Items { get; } = ImmutableArray.CreateBuilder<YamlNode>();

        public void AddValue(YamlNode value)
        {
            _entries.Add(new(Key!.Text, Key.At, value));
            ExpectsKey = true;
        }

        public YamlNode Close() => isMapping ? new YamlMapping(at, _entries.ToImmutable()) : new YamlSequence(at, Items.ToImmutable());
    }
}
