using System.Buffers;
using Ka.Core.Documents;

namespace Ka.Core.NodeSets;

/// <summary>Reads one expression, with the groups it mentions. Operands are joined from left to right.</summary>
internal sealed class NodeSetParser(NodeSetContext context)
{
    private const int MaxGroupDepth = 32;

    /// <summary>About how many bitmap words and single indexes may be touched; names written out one by one are free.</summary>
    private const long MaxWork = 20_000_000;

    private static readonly SearchValues<char> NotInGroups = SearchValues.Create("@[]*?,!&^ \t\r\n");
    private static readonly SearchValues<char> InMasks =
        SearchValues.Create("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*?");

    private readonly Dictionary<(string?, string), NodeSet> _groups = [];
    private readonly List<(string?, string)> _open = [];
    private NodeSetError? _error;
    private long _work;
    private bool _isReadingUniverse;

    public bool TryParse(string text, out NodeSet set, out NodeSetError error)
    {
        set = Parse(text, null) ?? NodeSet.Empty;
        error = _error!;
        return _error is null;
    }

    private NodeSet? Parse(string text, string? source)
    {
        if (text.Length > context.TextLimit)
        {
            return Refuse(new("nodeset.too_long", $"the text has {text.Length:N0} characters, the limit is {context.TextLimit:N0}", 0, text));
        }

        if (text.AsSpan().IsWhiteSpace())
        {
            return NodeSet.Empty;
        }

        var (at, operation) = (0, SetOperation.Union);
        var (result, pending) = (NodeSet.Empty, new NodeSetBuilder());
        while (true)
        {
            if (operation == SetOperation.Union ? !Gather(text, ref at, source, pending) : !Join(operation, text, ref at, source, ref result, ref pending))
            {
                return null;
            }

            if (at == text.Length)
            {
                break;
            }

            operation = text[at++] switch
            {
                ',' => SetOperation.Union,
                '!' => SetOperation.Difference,
                '&' => SetOperation.Intersection,
                _ => SetOperation.SymmetricDifference,
            };
        }

        result = Flush(result, ref pending);
        return result.Count > context.Limit
            ? Refuse(new("nodeset.too_many", $"the set has {result.Count:N0} nodes, the limit is {context.Limit:N0}", 0, text))
            : result;
    }

    /// <summary>Adds the next operand to those already waiting for a union.</summary>
    private bool Gather(string text, ref int at, string? source, NodeSetBuilder pending)
    {
        var operand = NodeSetOperand.Read(text, ref at, context.Limit, out _error);
        if (operand is null)
        {
            return false;
        }

        if (operand.Ranges.Count == 0 && NodeName.IsName(operand.Literals[0]))
        {
            pending.Add(operand.Literals[0].AsSpan());
            return true;
        }

        if (operand.IsGroup || operand.HasWildcard)
        {
            if (Resolve(operand, source) is not { } nodes)
            {
                return false;
            }

            nodes.CopyTo(pending);
            return Charge(operand, nodes.Cost);
        }

        if (operand.ToNames(context.Limit, out _error) is not var (pattern, product))
        {
            return false;
        }

        pending.Add(pattern, product);
        return Charge(operand, product.Length == 1 && !operand.IsStepped ? product[0].Words : product.Aggregate(1L, (sum, set) => sum * set.Count));
    }

    private bool Join(SetOperation operation, string text, ref int at, string? source, ref NodeSet result, ref NodeSetBuilder pending)
    {
        result = Flush(result, ref pending);
        var operands = new NodeSetBuilder();
        var begin = at;
        do
        {
            at = operands.IsEmpty ? at : at + 1;
            if (!Gather(text, ref at, source, operands))
            {
                return false;
            }
        }
        while (operation == SetOperation.Difference && at < text.Length && text[at] == '!');

        var right = operands.ToSet();
        result = result.Combine(operation, right);
        return Charge(result.Cost + right.Cost, begin, text[begin..at]);
    }

    private static NodeSet Flush(NodeSet result, ref NodeSetBuilder pending)
    {
        if (pending.IsEmpty)
        {
            return result;
        }

        var waiting = pending.ToSet();
        pending = new();
        return result.IsEmpty ? waiting : result | waiting;
    }

    private NodeSet? Resolve(NodeSetOperand operand, string? source)
    {
        if (operand.ToTexts() is not { } texts)
        {
            return Refuse(new("nodeset.too_many", "this makes more than 10,000 groups or masks", operand.Position, operand.Literals[0]));
        }

        if (!operand.IsGroup)
        {
            return Match(operand, texts, source);
        }

        var union = new NodeSetBuilder();
        foreach (var text in texts)
        {
            if (Group(operand, text, source) is not { } nodes)
            {
                return null;
            }

            nodes.CopyTo(union);
        }

        return union.ToSet();
    }

    private NodeSet? Group(NodeSetOperand operand, string text, string? source)
    {
        var colon = text.IndexOf(':');
        var (from, name) = colon < 0 ? (source, text[1..]) : (text[1..colon], text[(colon + 1)..]);
        if (name is "*" && from is null && context.Universe is { } universe)
        {
            return universe;
        }

        var plain = name.StartsWith('@') ? name.AsSpan(1) : name;
        if (name.Length == 0 || (name != "*" && plain.ContainsAny(NotInGroups)))
        {
            return Refuse(new("nodeset.bad_name", $"'{DocumentError.Cut(text)}' is not the name of a group", operand.Position, text, "@group, @source:group, @* or @source:*"));
        }

        if (_groups.TryGetValue((from, name), out var known))
        {
            return known;
        }

        if (Definition(from, name) is not { } definition)
        {
            var near = context.Groups is null ? null : Suggestion.DidYouMean(name, context.Groups.GroupsOf(from));
            var where = from is null ? "" : $" in the source '{DocumentError.Cut(from)}'";
            return Refuse(new("nodeset.unknown_group", $"there is no group '{DocumentError.Cut(name)}'{where}", operand.Position, text, "a group that is defined", near));
        }

        return Expand(operand, text, (from, name), definition);
    }

    private string? Definition(string? source, string name)
    {
        if (context.Groups is not { } groups)
        {
            return null;
        }

        if (name is "*")
        {
            return groups.TryGetAll(source, out var all) ? all : null;
        }

        if (name.StartsWith('@'))
        {
            return string.Join(',', groups.GroupsOf(name.Length == 1 ? null : name[1..]));
        }

        return groups.TryGetGroup(source, name, out var definition) ? definition : null;
    }

    private NodeSet? Expand(NodeSetOperand operand, string text, (string? Source, string Name) group, string definition)
    {
        if (_open.Contains(group) || _open.Count >= MaxGroupDepth)
        {
            var path = string.Join(" → ", _open.Append(group).Select(step => "@" + step.Item2));
            return Refuse(new("nodeset.group_cycle", $"groups contain each other: {DocumentError.Cut(path)}", operand.Position, text));
        }

        _open.Add(group);
        var nodes = Parse(definition, group.Source);
        _open.RemoveAt(_open.Count - 1);
        if (nodes is null)
        {
            return Refuse(_error! with { Message = $"in the group '{DocumentError.Cut(text)}': {_error.Message}", Position = operand.Position });
        }

        return _groups[group] = nodes;
    }

    private NodeSet? Match(NodeSetOperand operand, List<string> masks, string? source)
    {
        var bad = masks[0].AsSpan().IndexOfAnyExcept(InMasks);
        if (bad >= 0)
        {
            return Refuse(new("nodeset.bad_name", $"the character '{DocumentError.Cut(masks[0].Substring(bad, 1))}' may not stand in a mask", operand.Position, masks[0]));
        }

        if (Universe(operand, source) is not { } universe || !Charge(operand, (long)masks.Count * universe.Count))
        {
            return null;
        }

        return NodeSet.FromNames(universe.Where(node => masks.Any(mask => Wildcard.Matches(node.Value, mask))));
    }

    private NodeSet? Universe(NodeSetOperand operand, string? source)
    {
        if (source is null && context.Universe is { } universe)
        {
            return universe;
        }

        if (_groups.TryGetValue((source, "*"), out var known))
        {
            return known;
        }

        if (_isReadingUniverse || Definition(source, "*") is not { } definition)
        {
            return Refuse(new("nodeset.no_universe", "there is no list of all nodes to match '*' and '?' against", operand.Position, operand.Literals[0], null, "name the nodes"));
        }

        _isReadingUniverse = true;
        var nodes = Expand(operand, "@*", (source, "*"), definition);
        _isReadingUniverse = false;
        return nodes;
    }

    private bool Charge(NodeSetOperand operand, long cost) => Charge(cost, operand.Position, operand.Literals[0]);

    private bool Charge(long cost, int position, string offending)
    {
        _work += cost;
        if (_work <= MaxWork)
        {
            return true;
        }

        Refuse(new("nodeset.too_many", "the expression is too costly to work out", position, offending, null, "name fewer nodes more directly"));
        return false;
    }

    private NodeSet? Refuse(NodeSetError error)
    {
        _error = error;
        return null;
    }
}
