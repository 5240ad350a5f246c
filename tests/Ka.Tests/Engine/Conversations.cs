using System.Runtime.CompilerServices;

namespace Ka.Tests.Engine;

public class Conversations
{
    static string Folder([CallerFilePath] string here = "") => Path.Combine(Path.GetDirectoryName(here)!, "conversations");

    public static TheoryData<string> All => [.. Directory.GetFiles(Folder(), "*.txt").Select(f => Path.GetFileNameWithoutExtension(f)!).Order(StringComparer.Ordinal)];

    [Theory, MemberData(nameof(All))]
    public void The_automaton_answers_as_written(string conversation)
    {
        var path = Path.Combine(Folder(), conversation + ".txt");
        var written = File.ReadAllText(path);
        var held = Conversation.Hold(written);
        if (Environment.GetEnvironmentVariable("UPDATE_GOLDEN") == "1")
            File.WriteAllText(path, held);
        else
            Assert.Equal(written, held);
    }
}
