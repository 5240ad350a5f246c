namespace Ka.Core.Documents;

/// <summary>A place in a text a person wrote. Line and column count from 1; the column counts UTF-16 units.</summary>
public readonly record struct Location(string File, int Line, int Column)
{
    /// <summary>The clickable form: <c>file:line:column</c>.</summary>
    public override string ToString() => $"{File}:{Line}:{Column}";
}
