using System.Text.RegularExpressions;

namespace Ka.Tests.House;

/// <summary>GLOSSARY.md speaks of what there is.</summary>
public class ReadingTheGlossary
{
    static readonly string[][] Words = [.. Repository.Rows(Repository.Read("GLOSSARY.md")).Where(r => r.Length == 3 && r[1].Contains('`'))];

    [Fact]
    public void Every_type_exists()
    {
        var types = Repository.Assemblies.SelectMany(a => a.GetTypes()).Select(t => t.Name).ToHashSet(StringComparer.Ordinal);
        Assert.True(Words.Length >= 20, "the glossary has lost its table");
        string[] missing = [.. Words.SelectMany(w => Repository.Quoted(w[1])).Except(types)];
        Assert.Empty(missing);
    }

    [Fact]
    public void Every_word_is_used_outside_the_glossary()
    {
        var used = string.Join('\n', Repository.Files().Where(f => f is not "GLOSSARY.md" && Path.GetExtension(f) is ".cs" or ".md").Select(Repository.Read));
        foreach (var word in Words.SelectMany(w => w[0].Split(',', StringSplitOptions.TrimEntries)))
            Assert.Matches(new Regex(Regex.Escape(word).Replace("\\ ", "[ _-]?"), RegexOptions.IgnoreCase), used);
    }

    [Fact]
    public void Words_stand_in_alphabetical_order()
    {
        var words = Words.Select(w => w[0]).ToArray();
        Assert.Equal(words.Order(StringComparer.OrdinalIgnoreCase), words);
    }
}
