using System.Reflection;
using System.Text.RegularExpressions;
using Ka.Core.Faults;

namespace Ka.Tests.House;

/// <summary>Whatever code a person meets, <c>ka explain</c> knows it.</summary>
public partial class ExplainingFaults
{
    [Fact]
    public void Every_code_is_of_the_form_area_word()
    {
        foreach (var fault in FaultCodes.All)
            Assert.Matches("^[a-z]+\\.[a-z][a-z_]*[a-z]$", fault.Code.Text);
    }

    [Fact]
    public void Every_code_has_a_sentence_that_says_what_it_means_and_one_that_says_what_to_do()
    {
        foreach (var fault in FaultCodes.All)
        {
            Assert.True(fault.Meaning.Length > 10 && fault.Meaning.EndsWith('.'), $"{fault.Code} has no meaning: '{fault.Meaning}'");
            Assert.True(fault.Next.Length > 10 && fault.Next[^1] is '.' or ')', $"{fault.Code} has no next step: '{fault.Next}'");
        }
    }

    [Fact]
    public void Every_field_of_the_catalogue_is_in_it_under_its_own_code()
    {
        var fields = typeof(FaultCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Where(f => f.FieldType == typeof(FaultCode)).ToArray();
        Assert.NotEmpty(fields);
        var codes = fields.Select(f => ((FaultCode)f.GetValue(null)!).Text).ToArray();
        Assert.Equal(codes.Length, codes.Distinct().Count());
        Assert.All(codes, code => Assert.NotNull(FaultCodes.Explain(code)));
    }

    [Fact]
    public void Every_code_of_the_catalogue_is_used()
    {
        var text = string.Concat(Repository.CSharp("src").Where(f => !f.EndsWith("/FaultCodes.cs", StringComparison.Ordinal) && !f.EndsWith("/DocumentCodes.cs", StringComparison.Ordinal)).Select(Repository.Read));
        var unused = typeof(FaultCodes).GetFields(BindingFlags.Public | BindingFlags.Static)
            .Where(f => f.FieldType == typeof(FaultCode))
            .Where(f => !Regex.IsMatch(text, $@"FaultCodes\.{f.Name}\b") && !text.Contains($"\"{f.GetValue(null)}\"", StringComparison.Ordinal))
            .Select(f => f.Name);
        Assert.Empty(unused);
    }

    [Fact]
    public void Every_code_written_in_the_source_is_explained()
    {
        var areas = string.Join('|', FaultCodes.All.Select(f => f.Code.Text.Split('.')[0]).Distinct());
        var code = new Regex($@"(?<=[""(])(?:{areas})\.[a-z_]+(?=[)""])");
        var unknown = Repository.CSharp("src")
            .SelectMany(file => code.Matches(Repository.Read(file)).Select(m => (file, Code: m.Value)))
            .Where(found => !FileName().IsMatch(found.Code) && FaultCodes.Explain(found.Code) is null)
            .Select(found => $"{found.file}: {found.Code}");
        Assert.Empty(unknown);
    }

    [GeneratedRegex(@"\.(sh|pfx|yaml|json|sock|ipxe|conf)$")]
    private static partial Regex FileName();
}
